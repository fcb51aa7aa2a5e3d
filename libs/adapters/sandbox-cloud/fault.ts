import { z } from 'zod';

const refusals = ['rate-limited', 'unauthorized', 'payment-required', 'server-error', 'unavailable'] as const;
const lost = ['answer-lost-before-effect'] as const;

/** Which faults make sense at which point. `machine` faults are decided when a machine is made. */
export const faultKinds = {
  account: [...refusals, ...lost],
  offers: [...refusals, ...lost],
  create: [
    ...refusals,
    ...lost,
    'no-capacity',
    'quota-exceeded',
    'invalid-request',
    'conflict',
    /** An error is answered and the machine is there all the same; the error names it. */
    'failed-with-resource',
    'answer-lost-after-effect',
    /** The answer is lost and the machine appears `arg` ms later. */
    'effect-late',
    /** The client token is forgotten for this call. */
    'duplicate-on-retry',
    /** The vendor's own retry makes a second machine for one request; only the first is named. */
    'double-create',
  ],
  /** `get-404-then-200`: unknown now, known at the next call. `get-stale`: the world of `arg` ms ago. */
  get: [...refusals, ...lost, 'get-404-then-200', 'get-stale', 'unknown-status-word'],
  list: [
    ...refusals,
    ...lost,
    'list-empty-by-mistake',
    /** The world of `arg` ms ago; without `arg` one whole window. */
    'list-stale',
    /** Half the page and no cursor. */
    'list-truncated',
    /** The page starts with the last machine of the page before. */
    'list-repeats',
    'unknown-status-word',
  ],
  terminate: [...refusals, ...lost, 'conflict', 'terminate-lies', 'answer-lost-after-effect'],
  machine: [
    /** `arg` ms are added to the boot. */
    'slow-boot',
    'boot-failure',
    /** Taken away `arg` ms after running, `noticeMs` before it the vendor says so; without `noticeMs` silently. */
    'preemption',
    /** From `arg` ms after running on its agent is dead while the vendor says running. */
    'silent-death',
    /** Fails, and the vendor says so, `arg` ms after running. */
    'crash',
  ],
} as const;

export type FaultPoint = keyof typeof faultKinds;
export type FaultKind = (typeof faultKinds)[FaultPoint][number];
const points = Object.keys(faultKinds) as FaultPoint[];
const kinds = [...new Set(Object.values(faultKinds).flat())] as FaultKind[];

/** One fault as data. Without `occurrence` it strikes at every matching call. */
export const faultRuleSchema = z
  .strictObject({
    point: z.enum(points),
    kind: z.enum(kinds),
    /** Strikes at the n-th matching call, counted from 1 since the rules were set. */
    occurrence: z.int().positive().optional(),
    /** For this many matching calls in a row; default 1 with `occurrence`, for ever without. */
    times: z.int().positive().optional(),
    match: z
      .strictObject({
        sku: z.string().optional(),
        region: z.string().optional(),
        name: z.string().optional(),
        machineId: z.string().optional(),
        /** "key=value" */
        tag: z.string().optional(),
      })
      .optional(),
    /** Milliseconds; what they mean depends on the kind. */
    arg: z.number().nonnegative().optional(),
    noticeMs: z.number().nonnegative().optional(),
    /** How a lost answer looks: the connection is cut, or nothing ever comes. */
    how: z.enum(['reset', 'hang']).optional(),
  })
  .superRefine((rule, ctx) => {
    if (!(faultKinds[rule.point] as readonly string[]).includes(rule.kind)) {
      ctx.addIssue({ code: 'custom', path: ['kind'], message: `${rule.kind} cannot happen at ${rule.point}` });
    }
  });
export type FaultRule = z.infer<typeof faultRuleSchema>;

/** What a call is about, for matching. */
export interface FaultSubject {
  readonly sku?: string;
  readonly region?: string;
  readonly name?: string;
  readonly machineId?: string;
  readonly tags?: Readonly<Record<string, string>>;
}

/** The rules in force, each with its own count of matching calls. */
export class FaultBook {
  private readonly counts: number[];

  constructor(readonly rules: readonly FaultRule[]) {
    this.counts = rules.map(() => 0);
  }

  /** Counts the call for every matching rule and answers those that strike, in the order of the list. */
  strike(point: FaultPoint, subject: FaultSubject): FaultRule[] {
    return this.rules.filter((rule, i) => {
      if (rule.point !== point || !matches(rule, subject)) return false;
      const n = (this.counts[i] ?? 0) + 1;
      this.counts[i] = n;
      const first = rule.occurrence ?? 1;
      const times = rule.times ?? (rule.occurrence === undefined ? Infinity : 1);
      return n >= first && n < first + times;
    });
  }
}

function matches({ match }: FaultRule, subject: FaultSubject): boolean {
  if (!match) return true;
  const same = (wanted: string | undefined, is: string | undefined): boolean => wanted === undefined || wanted === is;
  return (
    same(match.sku, subject.sku) &&
    same(match.region, subject.region) &&
    same(match.name, subject.name) &&
    same(match.machineId, subject.machineId) &&
    (match.tag === undefined || hasTag(subject.tags ?? {}, match.tag))
  );
}

/** `tag` is "key=value"; a value may contain "=". */
export function hasTag(tags: Readonly<Record<string, string>>, tag: string): boolean {
  const cut = tag.indexOf('=');
  return cut > 0 && Object.hasOwn(tags, tag.slice(0, cut)) && tags[tag.slice(0, cut)] === tag.slice(cut + 1);
}
