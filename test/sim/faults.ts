import { SeededRandom } from '#kernel';
import { z } from 'zod';
import { faultRuleSchema, type FaultRule } from '#adapters/sandbox-cloud';

/** What befalls our own side, at a time. */
const processFaultSchema = z.object({
  kind: z.enum([
    'crash-worker',
    /** The worker stops for `arg` ms right before its next call to the vendor. */
    'stall-before-send',
    /** ... right after the vendor's answer, before it is applied. */
    'stall-after-answer',
    'crash-before-send',
    'crash-after-send',
    'crash-after-commit',
    'queue-emptied',
    'wake-lost',
    'wake-doubled',
    'agent-frozen',
    'agent-restarted',
    'report-doubled',
  ]),
  atMs: z.number(),
  target: z.number(),
  arg: z.number(),
});
export type ProcessFault = z.infer<typeof processFaultSchema>;

export const faultListSchema = z.object({ processes: z.array(processFaultSchema), vendor: z.array(faultRuleSchema) });
export interface FaultList {
  readonly processes: readonly ProcessFault[];
  readonly vendor: readonly FaultRule[];
}

const FAULTS_UNTIL_MS = 240_000;

/** Each seed draws its own world: which kinds happen at all, how often, and when. */
export function drawFaults(seed: number): FaultList {
  const random = new SeededRandom(`faults/${seed}`);
  const processes: ProcessFault[] = [];
  for (const kind of processFaultSchema.shape.kind.options) {
    if (random.float() < 0.5) continue;
    for (let n = random.int(1, 3); n > 0; n--) {
      processes.push({
        kind,
        atMs: random.int(1_000, FAULTS_UNTIL_MS),
        target: random.int(0, 5),
        arg: random.float() < 0.5 ? random.int(500, 7_000) : random.int(7_000, 130_000),
      });
    }
  }
  const vendor: FaultRule[] = [];
  const add = (rule: FaultRule): void => {
    if (random.float() < 0.3) vendor.push(rule);
  };
  const nth = (): number => random.int(1, 4);
  add({ point: 'create', kind: 'no-capacity', occurrence: nth() });
  add({ point: 'create', kind: 'quota-exceeded', occurrence: nth() });
  add({ point: 'create', kind: 'rate-limited', occurrence: nth(), arg: 3_000 });
  add({ point: 'create', kind: 'failed-with-resource', occurrence: nth() });
  add({ point: 'create', kind: 'answer-lost-before-effect', occurrence: nth() });
  add({ point: 'create', kind: 'answer-lost-after-effect', occurrence: nth() });
  add({ point: 'create', kind: 'effect-late', occurrence: nth(), arg: random.int(10_000, 200_000) });
  add({ point: 'create', kind: 'double-create', occurrence: nth() });
  add({ point: 'get', kind: 'get-404-then-200', occurrence: random.int(1, 20) });
  add({ point: 'get', kind: 'unavailable', occurrence: random.int(1, 20) });
  add({ point: 'list', kind: 'list-empty-by-mistake', occurrence: random.int(1, 8) });
  add({ point: 'list', kind: 'list-stale', occurrence: random.int(1, 8) });
  add({ point: 'list', kind: 'list-truncated', occurrence: random.int(1, 8) });
  add({ point: 'terminate', kind: 'terminate-lies', occurrence: nth() });
  add({ point: 'terminate', kind: 'unavailable', occurrence: nth() });
  add({ point: 'machine', kind: 'slow-boot', occurrence: nth(), arg: 60_000 });
  add({ point: 'machine', kind: 'boot-failure', occurrence: nth() });
  add({ point: 'machine', kind: 'preemption', occurrence: nth(), arg: random.int(1_000, 60_000) });
  add({ point: 'machine', kind: 'preemption', occurrence: nth(), arg: random.int(20_000, 90_000), noticeMs: 15_000 });
  add({ point: 'machine', kind: 'silent-death', occurrence: nth(), arg: random.int(1_000, 30_000) });
  add({ point: 'machine', kind: 'crash', occurrence: nth(), arg: random.int(1_000, 30_000) });
  return { processes, vendor };
}

export const NO_FAULTS: FaultList = { processes: [], vendor: [] };

/** How many single faults a list has, and the list without one of them; for shrinking. */
export function countFaults(list: FaultList): number {
  return list.processes.length + list.vendor.length;
}

export function withoutFaults(list: FaultList, from: number, count: number): FaultList {
  const keep = (i: number): boolean => i < from || i >= from + count;
  const { processes, vendor } = list;
  return {
    processes: processes.filter((_, i) => keep(i)),
    vendor: vendor.filter((_, i) => keep(i + processes.length)),
  };
}
