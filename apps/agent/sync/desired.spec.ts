import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { WorkItem } from '#contracts';
import { SeededRandom } from '#kernel';
import { backoffMs } from './backoff.js';
import { capacity, keyOf, reconcile, type Held } from './desired.js';

function item(workId: string, fence: number): WorkItem {
  return {
    workId,
    fence,
    jobId: 'j',
    leaseId: 'l',
    deadlineAt: '2026-01-01T00:00:00Z',
    spec: { kind: 'command', command: ['true'], env: {}, inputs: [], outputs: [], timeoutS: 1 },
  };
}
const held = (workId: string, fence: number, phase: Held['phase'], acknowledged = false): Held => ({
  workId,
  fence,
  phase,
  acknowledged,
});
const steps = (list: readonly Held[], desired: readonly WorkItem[], slots = 4): string[] =>
  reconcile(list, desired, slots).map((step) => `${step.do} ${step.do === 'start' ? keyOf(step.item) : keyOf(step)}`);

describe('reconciling work', () => {
  it('starts what is new, in order, up to its slots', () => {
    expect(steps([], [item('a', 1), item('b', 1), item('c', 1)], 2)).toEqual(['start a/1', 'start b/1']);
    expect(steps([held('x', 1, 'stopping')], [item('a', 1), item('b', 1)], 2)).toEqual(['start a/1']);
  });
  it('stops what is not desired, and forgets it only when its end was acknowledged', () => {
    expect(steps([held('a', 1, 'running')], [])).toEqual(['stop a/1']);
    expect(steps([held('a', 1, 'finished')], [])).toEqual([]);
    expect(steps([held('a', 1, 'finished', true)], [])).toEqual(['forget a/1']);
    expect(steps([held('a', 1, 'finished', true)], [item('a', 1)])).toEqual([]);
  });
  it('runs interrupted work again under its fence, or forgets it', () => {
    expect(steps([held('a', 3, 'interrupted')], [item('a', 3)])).toEqual(['start a/3']);
    expect(steps([held('a', 3, 'interrupted')], [item('a', 4)])).toEqual(['forget a/3', 'start a/4']);
  });
  it('lets a higher fence wait for the lower one to stop, and never starts a lower one beside it', () => {
    expect(steps([held('a', 1, 'running')], [item('a', 2)])).toEqual(['stop a/1']);
    expect(steps([held('a', 1, 'stopping')], [item('a', 2)])).toEqual([]);
    expect(steps([held('a', 2, 'running')], [item('a', 1)])).toEqual(['stop a/2']);
  });

  const work = fc.record({
    workId: fc.constantFrom('a', 'b', 'c', 'd'),
    fence: fc.integer({ min: 1, max: 3 }),
    phase: fc.constantFrom<Held['phase']>('running', 'stopping', 'interrupted', 'finished'),
    acknowledged: fc.boolean(),
  });
  const situation = fc.record({
    list: fc.uniqueArray(work, { selector: keyOf, maxLength: 6 }),
    desired: fc.uniqueArray(
      fc.record({ workId: fc.constantFrom('a', 'b', 'c', 'd'), fence: fc.integer({ min: 1, max: 3 }) }),
      { selector: (w) => w.workId },
    ),
    slots: fc.integer({ min: 0, max: 4 }),
  });

  it('comes to rest, never exceeds its slots, never runs a work twice at once, never loses an unacknowledged report', () => {
    fc.assert(
      fc.property(situation, ({ list, desired, slots }) => {
        const items = desired.map((w) => item(w.workId, w.fence));
        let now: Held[] = [...list];
        const occupied = (): Held[] => now.filter((w) => w.phase === 'running' || w.phase === 'stopping');
        const before = occupied().length;
        for (let round = 0; round < 10; round++) {
          const todo = reconcile(now, items, slots);
          if (todo.length === 0) break;
          for (const step of todo) {
            const key = step.do === 'start' ? keyOf(step.item) : keyOf(step);
            const known = now.find((w) => keyOf(w) === key);
            now = now.filter((w) => keyOf(w) !== key);
            if (step.do === 'forget') expect(known?.phase === 'finished' && !known.acknowledged).toBe(false);
            if (step.do === 'stop') now.push({ ...held(step.workId, step.fence, 'interrupted') });
            if (step.do === 'start') {
              expect(occupied().filter((w) => w.workId === step.item.workId)).toEqual([]);
              now.push(held(step.item.workId, step.item.fence, 'running'));
            }
          }
          expect(occupied().length).toBeLessThanOrEqual(Math.max(before, slots));
        }
        expect(reconcile(now, items, slots)).toEqual([]);
      }),
    );
  });
});

describe('capacity', () => {
  it('counts what runs, what was interrupted and what waits', () => {
    expect(capacity([], [], 2)).toBe(2);
    expect(capacity([held('a', 1, 'running'), held('b', 1, 'finished')], [item('a', 1)], 2)).toBe(1);
    expect(capacity([held('a', 1, 'interrupted')], [item('c', 1)], 2)).toBe(0);
    expect(capacity([held('a', 1, 'running')], [item('a', 1), item('b', 1), item('c', 1)], 2)).toBe(0);
  });
});

describe('backoff', () => {
  it('doubles up to its limit and spreads over the upper half', () => {
    const random = new SeededRandom(1);
    for (let failures = 1; failures < 40; failures++) {
      const full = Math.min(30_000, 250 * 2 ** (failures - 1));
      const drawn = backoffMs(failures, random);
      expect(drawn).toBeGreaterThanOrEqual(Math.round(full / 2));
      expect(drawn).toBeLessThanOrEqual(full);
    }
  });
});
