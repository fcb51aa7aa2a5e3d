import { z } from 'zod';
import { SeededRandom } from '#kernel';
import { faultKinds as vendorKinds, type FaultRule } from '#adapters/sandbox-cloud';

/** Every kind of fault by the point at which it can strike, with how it is drawn: highest occurrence, and range of `arg`. */
interface Drawn {
  readonly upTo: number;
  readonly arg?: readonly [number, number];
  /** In this share of the worlds, whatever the seed says of others. */
  readonly share?: number;
}
const MOMENT: readonly [number, number] = [300, 6_000];
/** Longer than send budget, deadline and window together. */
const AGES: readonly [number, number] = [6_000, 130_000];

/** A transaction of one of our processes. */
const transaction = {
  'crash-before-commit': { upTo: 120 },
  /** Committed, but nobody is woken and the caller is gone. */
  'crash-after-commit': { upTo: 120 },
  /** Committed, and whoever asked hears that the connection is gone. */
  'reply-lost': { upTo: 120 },
  'stall-after-commit': { upTo: 120, arg: AGES },
} satisfies Record<string, Drawn>;

/** A call of one of our processes to the vendor. */
const call = (upTo: number): Record<string, Drawn> => ({
  'crash-before-send': { upTo },
  'crash-after-send': { upTo },
  /** Between the intent and the look at the send budget. */
  'stall-before-send': { upTo, arg: AGES },
  'stall-after-answer': { upTo, arg: AGES },
  /** Sent in time, and long on its way. */
  'slow-network': { upTo, arg: [2_000, 19_000] },
});

/** Any turn of a process: between any two steps. */
const step = { crash: { upTo: 500 }, freeze: { upTo: 500, arg: AGES } } satisfies Record<string, Drawn>;

const points: Record<string, Record<string, Drawn>> = {
  'worker/tx': transaction,
  'worker/step': step,
  'worker/create': call(2),
  'worker/get': call(15),
  'worker/list': call(5),
  'worker/terminate': call(2),
  /** Its clock is off from this start on: only lengths of time by it mean anything. */
  'worker/start': { skew: { upTo: 2, arg: [-120_000, 120_000], share: 0.3 } },
  'api/tx': transaction,
  'api/step': step,
  'queue/wake': {
    lost: { upTo: 40 },
    doubled: { upTo: 40 },
    late: { upTo: 40, arg: [1_000, 30_000] },
    /** Everything that waits in the queue is gone. */
    emptied: { upTo: 40 },
    /** The queue keeps this row's wake-ups to itself: none ever arrives again. */
    swallowed: { upTo: 40 },
  },
  'agent/sync': {
    frozen: { upTo: 25, arg: [2_000, 150_000] },
    /** Running work is lost, what it had journalled is told again. */
    restarted: { upTo: 25 },
    /** A copied disk: two agents with one credential. */
    cloned: { upTo: 25 },
    doubled: { upTo: 25 },
    /** Given up, though it still arrives after the next one. */
    reordered: { upTo: 25 },
    'request-lost': { upTo: 25 },
    'reply-lost': { upTo: 25 },
    /** Reports of long ago once more. */
    replayed: { upTo: 25 },
    'work-failed': { upTo: 15 },
    /** Given up and told so, and done after all: the old fence must count for nothing. */
    'failed-then-done': { upTo: 8 },
  },
  'agent/enrol': { 'request-lost': { upTo: 1 }, 'reply-lost': { upTo: 1 } },
  'vendor/create': {
    'no-capacity': { upTo: 4 },
    'quota-exceeded': { upTo: 4 },
    'rate-limited': { upTo: 4, arg: [500, 5_000] },
    unauthorized: { upTo: 4 },
    'server-error': { upTo: 4 },
    'failed-with-resource': { upTo: 4 },
    'answer-lost-before-effect': { upTo: 4 },
    'answer-lost-after-effect': { upTo: 4 },
    'effect-late': { upTo: 4, arg: [5_000, 200_000] },
    'double-create': { upTo: 4 },
  },
  'vendor/get': {
    'get-404-then-200': { upTo: 20 },
    'get-stale': { upTo: 20 },
    unavailable: { upTo: 20 },
    'rate-limited': { upTo: 20, arg: [500, 5_000] },
    'unknown-status-word': { upTo: 20 },
  },
  'vendor/list': {
    'list-empty-by-mistake': { upTo: 8 },
    'list-stale': { upTo: 8 },
    'list-truncated': { upTo: 8 },
    'list-repeats': { upTo: 8 },
    unavailable: { upTo: 8 },
  },
  'vendor/terminate': {
    'terminate-lies': { upTo: 4 },
    'answer-lost-after-effect': { upTo: 4 },
    unavailable: { upTo: 4 },
  },
  'vendor/offers': { unavailable: { upTo: 6 } },
  'vendor/machine': {
    'slow-boot': { upTo: 4, arg: [20_000, 400_000] },
    'boot-failure': { upTo: 4 },
    preemption: { upTo: 4, arg: [1_000, 60_000] },
    'preemption-with-notice': { upTo: 4, arg: [18_000, 90_000] },
    'silent-death': { upTo: 4, arg: [1_000, 40_000] },
    crash: { upTo: 4, arg: [1_000, 40_000] },
  },
  // What is new comes last: what a seed draws before stays as it was.
  /** The vendor as this worker asks for a list. */
  'worker/lists': {
    /** For so long every list of the vendor's, whoever asks, lacks all but one of the machines, and nothing says so. */
    'list-partial': { upTo: 12, arg: [1, 60_000], share: 0.5 },
  },
};

export const NOTICE_MS = 15_000;
/** The vendor's consistency window; lists may be this old. */
export const WINDOW_MS = 3_000;

/** `worker1/tx` is the point `worker/tx` of the second worker: each counts for itself. */
const generic = (point: string): string => point.replace(/\d+/, '');

export const faultSchema = z
  .strictObject({
    point: z.string(),
    /** Strikes when the point is reached for the n-th time. */
    occurrence: z.int().positive(),
    kind: z.string(),
    /** Milliseconds; what they mean depends on the kind. */
    arg: z.number().optional(),
  })
  .refine((f) => points[generic(f.point)]?.[f.kind] !== undefined, 'this kind does not happen at this point');
export interface Fault {
  readonly point: string;
  readonly occurrence: number;
  readonly kind: string;
  readonly arg?: number | undefined;
}
export const faultListSchema = z.array(faultSchema);

/** All faults there are, as `point kind`, for the report of what was reached. */
export const allFaults: readonly string[] = Object.entries(points).flatMap(([point, kinds]) =>
  Object.keys(kinds).map((kind) => `${point} ${kind}`),
);
export const faultName = (fault: Fault): string => `${generic(fault.point)} ${fault.kind}`;

/** Each seed draws its own world: which kinds happen at all, how often, to whom and when. */
export function drawFaults(seed: number, workers: number): Fault[] {
  const random = new SeededRandom(`faults/${seed}`);
  const share = random.pick([0.06, 0.15, 0.3]);
  const out: Fault[] = [];
  for (const [point, kinds] of Object.entries(points)) {
    for (const [kind, { upTo, arg, share: own }] of Object.entries(kinds)) {
      if (random.float() >= (own ?? share)) continue;
      for (let n = random.int(1, 2); n > 0; n--) {
        const range = arg === AGES && random.float() < 0.4 ? MOMENT : arg;
        out.push({
          point: point
            .replace('worker', `worker${random.int(0, workers - 1)}`)
            .replace('agent', `agent${random.int(1, 3)}`),
          // Early ones are more telling: much of a history is waiting.
          occurrence: Math.max(1, Math.ceil(upTo * random.float() ** 2)),
          kind,
          ...(range ? { arg: random.int(...range) } : {}),
        });
      }
    }
  }
  return out;
}

/** The vendor's faults in the sandbox cloud's own form. */
export function vendorRules(faults: readonly Fault[]): FaultRule[] {
  return faults.flatMap(({ point, kind, occurrence, arg }): FaultRule[] => {
    const [actor, at] = point.split('/');
    if (actor !== 'vendor' || at === undefined || !isVendorPoint(at)) return [];
    const withNotice = kind === 'preemption-with-notice';
    return [
      {
        point: at,
        kind: (withNotice ? 'preemption' : kind) as FaultRule['kind'],
        occurrence,
        ...(arg === undefined ? {} : { arg }),
        ...(withNotice ? { noticeMs: NOTICE_MS } : {}),
      },
    ];
  });
}

function isVendorPoint(at: string): at is FaultRule['point'] {
  return Object.hasOwn(vendorKinds, at);
}

/** Counts how often each point was reached and says what strikes there. */
export class FaultBook {
  private readonly counts = new Map<string, number>();
  private readonly byPoint = new Map<string, Fault[]>();

  constructor(faults: readonly Fault[]) {
    for (const fault of faults) this.byPoint.set(fault.point, [...(this.byPoint.get(fault.point) ?? []), fault]);
  }

  strike(point: string): readonly Fault[] {
    const here = this.byPoint.get(point);
    if (!here) return [];
    const n = (this.counts.get(point) ?? 0) + 1;
    this.counts.set(point, n);
    return here.filter((f) => f.occurrence === n);
  }
}
