import { describe, expect, it } from '@jest/globals';
import { ManualClock, StaleVersion } from '#kernel';
import { MemoryStore, UniqueViolation } from '#platform/database';
import { ReconcileLoop, type Reconciler } from './index.js';

type Step = Reconciler['step'];

/** One kind of row, "door", whose due rows and steps the spec decides. */
function scene(step: Step, kinds: readonly string[] = ['door']) {
  const clock = new ManualClock();
  const due = new Map<string, number>();
  const woken: string[] = [];
  const repaired: string[] = [];
  const failed: unknown[] = [];
  const queue = {
    down: false,
    wake: (kind: string, id: string): Promise<void> => {
      if (queue.down) return Promise.reject(new Error('the queue is down'));
      woken.push(`${kind}:${id}`);
      return Promise.resolve();
    },
  };
  const steps: string[] = [];
  const reconcilers = kinds.map((kind): Reconciler => ({
    kind,
    due: (_tx, nowMs, limit) =>
      Promise.resolve(
        [...due]
          .filter(([, wakeAt]) => wakeAt <= nowMs)
          .slice(0, limit)
          .map(([id, wakeAt]) => ({ id, wakeAt })),
      ),
    step: (id) => {
      steps.push(id);
      return step(id);
    },
  }));
  const loop = new ReconcileLoop(new MemoryStore(clock), queue, reconcilers, {
    repaired: (net, kind, id) => repaired.push(`${net} ${kind}:${id}`),
    failed: (_kind, _id, error) => failed.push(error),
  });
  return { clock, due, woken, repaired, failed, queue, steps, loop };
}

const rest: Step = () => Promise.resolve('rest');
const stale = (): Promise<never> => Promise.reject(new StaleVersion('door', 'a'));

/** A promise that the spec settles. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

describe('driving one row', () => {
  it('goes on until it rests', async () => {
    let n = 0;
    const s = scene(() => Promise.resolve(++n < 4 ? 'again' : 'rest'));
    await s.loop.reconcile('door', 'a');
    expect([s.steps.length, s.failed, s.woken]).toEqual([4, [], []]);
  });

  it('looks again at once when somebody else was first', async () => {
    let n = 0;
    const s = scene(() => (++n <= 5 ? stale() : Promise.resolve('rest')));
    await s.loop.reconcile('door', 'a');
    expect([s.steps.length, s.failed]).toEqual([6, []]);
  });

  it('leaves a row to the others after losing six times, without calling it a failure', async () => {
    const s = scene(stale);
    await s.loop.reconcile('door', 'a');
    expect([s.steps.length, s.failed]).toEqual([6, []]);
  });

  it('takes a collision for a lost race too, and reports one that stays', async () => {
    let n = 0;
    const collision = new UniqueViolation('doors', 'key');
    const once = scene(() => (++n === 1 ? Promise.reject(collision) : Promise.resolve('rest')));
    await once.loop.reconcile('door', 'a');
    expect([once.steps.length, once.failed]).toEqual([2, []]);
    const always = scene(() => Promise.reject(collision));
    await always.loop.reconcile('door', 'a');
    expect([always.steps.length, always.failed]).toEqual([6, [collision]]);
  });

  it('reports any other error once and leaves the row due', async () => {
    const error = new Error('boom');
    const s = scene(() => Promise.reject(error));
    s.due.set('a', s.clock.now());
    await s.loop.reconcile('door', 'a');
    expect([s.steps.length, s.failed]).toEqual([1, [error]]);
    await s.loop.sweep();
    s.clock.advance(1_000);
    await s.loop.sweep();
    expect(s.woken).toEqual(['door:a']);
  });

  it('lets others have a turn after 40 steps, and asks to be woken', async () => {
    const s = scene(() => Promise.resolve('again'));
    await s.loop.reconcile('door', 'a');
    expect([s.steps.length, s.woken]).toEqual([40, ['door:a']]);
  });

  it('does not fail when the queue cannot take that wish: the sweeper brings the row back', async () => {
    const s = scene(() => Promise.resolve('again'));
    s.queue.down = true;
    await s.loop.reconcile('door', 'a');
    expect(s.failed).toEqual([]);
  });

  it('refuses a kind that it does not know, and two of one', async () => {
    await expect(scene(rest).loop.reconcile('window', 'a')).rejects.toThrow('no reconciler for window');
    expect(() => scene(rest, ['door', 'door'])).toThrow('two reconcilers for one kind');
  });
});

describe('a wake-up that comes while its row is being driven', () => {
  it('makes it run once more, however many they are, and never twice at the same time', async () => {
    const first = gate();
    let inside = 0;
    let most = 0;
    let n = 0;
    const s = scene(async () => {
      most = Math.max(most, ++inside);
      if (n++ === 0) await first.opened;
      inside--;
      return 'rest';
    });
    const runs = [s.loop.reconcile('door', 'a'), s.loop.reconcile('door', 'a'), s.loop.reconcile('door', 'a')];
    first.open();
    await Promise.all(runs);
    expect([s.steps.length, most]).toEqual([2, 1]);
  });

  it('does not hold up other rows', async () => {
    const first = gate();
    const s = scene(async (id) => {
      if (id === 'a') await first.opened;
      return 'rest';
    });
    const a = s.loop.reconcile('door', 'a');
    await s.loop.reconcile('door', 'b');
    expect(s.steps).toEqual(['a', 'b']);
    first.open();
    await a;
  });

  it('is not lost at whatever moment of the run’s end it comes', async () => {
    for (let moment = 0; moment < 30; moment++) {
      const first = gate();
      let n = 0;
      const s = scene(async () => {
        if (n++ === 0) await first.opened;
        return 'rest';
      });
      const run = s.loop.reconcile('door', 'a');
      first.open();
      for (let turn = 0; turn < moment; turn++) await Promise.resolve();
      const before = s.steps.length;
      await s.loop.reconcile('door', 'a');
      await run;
      // Let anything that is still to come run.
      await new Promise((resolve) => setImmediate(resolve));
      expect({ moment, runs: s.steps.length }).toEqual({ moment, runs: before + 1 });
    }
  });

  it('drives the row again later also when the run before ended in an error', async () => {
    let n = 0;
    const s = scene(() => (n++ === 0 ? Promise.reject(new Error('boom')) : Promise.resolve('rest')));
    await s.loop.reconcile('door', 'a');
    await s.loop.reconcile('door', 'a');
    expect([s.steps.length, s.failed.length]).toEqual([2, 1]);
  });
});

describe('the sweep', () => {
  it('wakes what is due, and only that', async () => {
    const s = scene(rest);
    s.due.set('now', s.clock.now());
    s.due.set('later', s.clock.now() + 1);
    expect(await s.loop.sweep()).toBe(1);
    expect([s.woken, s.steps, s.repaired]).toEqual([['door:now'], [], []]);
  });

  it('drives past the queue what two sweeps did not move and is 5 s overdue, and counts a repair', async () => {
    const s = scene((id) => {
      s.due.delete(id);
      return Promise.resolve('rest');
    });
    s.due.set('a', s.clock.now());
    await s.loop.sweep();
    s.clock.advance(4_999);
    await s.loop.sweep();
    await s.loop.sweep();
    expect([s.steps, s.repaired]).toEqual([[], []]);
    s.clock.advance(1);
    await s.loop.sweep();
    expect([s.steps, s.repaired]).toEqual([['a'], ['direct-reconcile door:a']]);
    expect(await s.loop.sweep()).toBe(0);
  });

  it('counts no repair at the second sweep, however late it comes', async () => {
    const s = scene(rest);
    s.due.set('a', s.clock.now() - 60_000);
    await s.loop.sweep();
    await s.loop.sweep();
    expect([s.steps, s.repaired, s.woken.length]).toEqual([[], [], 2]);
  });

  it('starts over when the row has moved: a new wake time is a new chance for the queue', async () => {
    const s = scene(rest);
    s.due.set('a', s.clock.now() - 60_000);
    await s.loop.sweep();
    await s.loop.sweep();
    s.due.set('a', s.clock.now() - 50_000);
    await s.loop.sweep();
    await s.loop.sweep();
    expect(s.repaired).toEqual([]);
    await s.loop.sweep();
    expect(s.repaired).toEqual(['direct-reconcile door:a']);
  });

  it('starts over when the row was not due in between', async () => {
    const s = scene(rest);
    const wakeAt = s.clock.now() - 60_000;
    for (const due of [true, true, false, true, true]) {
      if (due) s.due.set('a', wakeAt);
      else s.due.delete('a');
      await s.loop.sweep();
    }
    expect(s.repaired).toEqual([]);
  });

  it('leaves alone what is being driven here right now', async () => {
    const first = gate();
    const s = scene(async () => {
      await first.opened;
      return 'rest';
    });
    s.due.set('a', s.clock.now() - 60_000);
    const run = s.loop.reconcile('door', 'a');
    for (let n = 0; n < 4; n++) await s.loop.sweep();
    expect(s.repaired).toEqual([]);
    first.open();
    await run;
  });

  it('goes on when the queue is down, and still drives what waited long enough', async () => {
    const s = scene((id) => {
      s.due.delete(id);
      return Promise.resolve('rest');
    });
    s.queue.down = true;
    s.due.set('a', s.clock.now() - 60_000);
    s.due.set('b', s.clock.now() - 60_000);
    for (let n = 0; n < 3; n++) expect(await s.loop.sweep()).toBe(2);
    expect([s.steps, s.repaired.length]).toEqual([['a', 'b'], 2]);
  });

  it('goes on to other rows when one never rests and the queue is down', async () => {
    const s = scene((id) => {
      if (id === 'b') s.due.delete(id);
      return Promise.resolve(id === 'a' ? 'again' : 'rest');
    });
    s.queue.down = true;
    for (const id of ['a', 'b']) s.due.set(id, s.clock.now() - 60_000);
    for (let n = 0; n < 3; n++) await s.loop.sweep();
    expect(s.steps).toContain('b');
  });

  it('counts no repair for a row whose step fails, and tries it later and later', async () => {
    const s = scene(() => Promise.reject(new Error('boom')));
    const began = s.clock.now();
    s.due.set('a', began - 60_000);
    const tries: number[] = [];
    for (let second = 0; second < 300; second++) {
      const before = s.steps.length;
      await s.loop.sweep();
      if (s.steps.length > before) tries.push(second);
      s.clock.advance(1_000);
    }
    expect([s.repaired, s.failed.length]).toEqual([[], tries.length]);
    // Third sweep, then each time what it has waited plus the queue's two sweeps: 1, 2, 4 ... at most 30 s.
    expect(tries.slice(0, 7)).toEqual([2, 6, 11, 18, 29, 48, 81]);
    expect(tries.slice(7)).toEqual([114, 147, 180, 213, 246, 279]);
  });

  it('leaves the next try of a failed row to the queue, and counts none either when that one goes well', async () => {
    let well = false;
    const s = scene((id) => {
      if (!well) return Promise.reject(new Error('boom'));
      s.due.delete(id);
      return Promise.resolve('rest');
    });
    s.queue.wake = async (kind, id) => {
      await s.loop.reconcile(kind, id);
    };
    s.due.set('a', s.clock.now() - 60_000);
    for (let second = 0; second < 80; second++) {
      well = second >= 50;
      await s.loop.sweep();
      s.clock.advance(1_000);
    }
    expect([s.due.size, s.repaired, s.failed.length, s.steps.length]).toEqual([0, [], 6, 7]);
  });

  it('still drives past a dead queue a row that failed before, and counts that', async () => {
    let well = false;
    const s = scene((id) => {
      if (!well) return Promise.reject(new Error('boom'));
      s.due.delete(id);
      return Promise.resolve('rest');
    });
    s.queue.down = true;
    s.due.set('a', s.clock.now() - 60_000);
    for (let n = 0; n < 3; n++) await s.loop.sweep();
    expect([s.failed.length, s.repaired]).toEqual([1, []]);
    well = true;
    for (let n = 0; n < 5; n++) {
      await s.loop.sweep();
      s.clock.advance(1_000);
    }
    expect([s.due.size, s.repaired]).toEqual([0, ['direct-reconcile door:a']]);
  });

  it('does not let a row wait that moved since it failed', async () => {
    const s = scene(() => Promise.reject(new Error('boom')));
    const at = s.clock.now();
    s.due.set('a', at - 60_000);
    await s.loop.reconcile('door', 'a');
    await s.loop.sweep();
    expect(s.woken).toEqual([]);
    s.due.set('a', at - 50_000);
    await s.loop.sweep();
    expect(s.woken).toEqual(['door:a']);
  });
});
