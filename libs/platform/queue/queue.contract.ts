import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Registry } from 'prom-client';
import { Repairs, silentLogger } from '#platform/observability';
import { openBackend, type QueueLocation } from './backend.js';
import { JobHandlers, JobQueues, registerQueueMetrics, type JobQueuesOptions } from './index.js';

/** Opens and shuts by hand, so that a spec decides when a handler goes on. */
function gate(): { readonly opened: Promise<void>; open(): void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}

/** Asks the queue again and again; jest's own limit ends what never comes true. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}

function handlers(
  reconcile: (kind: string, id: string) => Promise<void>,
  sweep: () => void = () => undefined,
): JobHandlers {
  return new JobHandlers()
    .on('reconcile', ({ kind, id }) => reconcile(kind, id))
    .on('sweep', async () => sweep())
    .on('orphans', async () => undefined)
    .on('sync-offers', async () => undefined);
}

const NOTHING = { waiting: 0, delayed: 0, active: 0, stuck: 0 };

/** What the wake-up queue promises on either backend. */
export function queueContract(
  name: string,
  find: () => Promise<{ location: QueueLocation; close(): Promise<void> }>,
): void {
  describe(`the queue on ${name}`, () => {
    let location: QueueLocation;
    let close: () => Promise<void>;
    beforeAll(async () => {
      ({ location, close } = await find());
    });
    afterAll(() => close());

    async function withQueues(
      work: (queues: JobQueues, another: () => Promise<JobQueues>) => Promise<void>,
      more: Partial<JobQueuesOptions> = {},
    ) {
      const opened: JobQueues[] = [];
      const open = async (): Promise<JobQueues> => {
        const queues = await JobQueues.open({ location, logger: silentLogger, repairs: new Repairs(), ...more });
        opened.push(queues);
        return queues;
      };
      const first = await open();
      try {
        await first.emptyAll();
        await work(first, open);
      } finally {
        for (const queues of opened) await queues.close();
      }
    }
    const idle = (queues: JobQueues): Promise<void> =>
      until(async () => {
        const { waiting, active } = (await queues.counts()).reconcile;
        return waiting + active === 0;
      });

    it('does not lose a wake-up that arrives while its row is driven', () =>
      withQueues(async (queues) => {
        const [begun, goOn, second] = [gate(), gate(), gate()];
        let runs = 0;
        await queues.start(
          handlers(async () => {
            runs++;
            if (runs === 2) second.open();
            begun.open();
            await goOn.opened;
          }),
          ['reconcile'],
        );
        await queues.wake('lease', 'a');
        await begun.opened;
        for (let i = 0; i < 5; i++) await queues.wake('lease', 'a');
        expect(runs).toBe(1);
        goOn.open();
        await second.opened;
        await idle(queues);
        expect(runs).toBe(2);
      }));

    it('drives a row again after it was driven, and after it failed', () =>
      withQueues(async (queues) => {
        let runs = 0;
        await queues.start(
          handlers(async () => {
            runs++;
            if (runs === 2) throw new Error('the second run fails');
          }),
          ['reconcile'],
        );
        for (let expected = 1; expected <= 4; expected++) {
          await queues.wake('lease', 'a');
          await until(() => runs === expected);
          await idle(queues);
        }
        expect((await queues.counts()).reconcile).toEqual(NOTHING);
      }));

    it('makes one job of the wake-ups of a row that waits, and keeps rows apart', () =>
      withQueues(async (queues) => {
        for (let i = 0; i < 5; i++) for (const id of ['a', 'b']) await queues.wake('lease', id);
        await queues.wake('job', 'a');
        expect((await queues.counts()).reconcile.waiting).toBe(3);
      }));

    it('never drives one row on two workers at once', () =>
      withQueues(async (first, another) => {
        const second = await another();
        const running = new Map<string, number>();
        let [runs, together] = [0, 0];
        const drive = async (_: string, id: string): Promise<void> => {
          runs++;
          const now = (running.get(id) ?? 0) + 1;
          running.set(id, now);
          together = Math.max(together, now);
          // Some wake-ups come from within, as from a reconciler that is not at rest.
          if (runs % 3 === 0 && runs < 100) await second.wake('lease', id);
          else await new Promise((resolve) => setImmediate(resolve));
          running.set(id, now - 1);
        };
        await first.start(handlers(drive), ['reconcile']);
        await second.start(handlers(drive), ['reconcile']);
        await Promise.all(
          Array.from({ length: 120 }, (_, i) => (i % 2 ? first : second).wake('lease', `row-${i % 4}`)),
        );
        await idle(first);
        expect(together).toBe(1);
        expect(runs).toBeGreaterThanOrEqual(4);
      }));

    it('wakes after a delay, not before', () =>
      withQueues(async (queues) => {
        const done = gate();
        let at = 0;
        await queues.start(
          handlers(async () => {
            at = Date.now();
            done.open();
          }),
          ['reconcile'],
        );
        const asked = Date.now();
        await queues.wake('lease', 'a', 300);
        await queues.wake('lease', 'a', 300);
        await done.opened;
        expect(at - asked).toBeGreaterThanOrEqual(300);
      }));

    it('does not let a delayed wake-up hold back one without a delay', () =>
      withQueues(async (queues) => {
        const done = gate();
        await queues.start(
          handlers(async () => done.open()),
          ['reconcile'],
        );
        await queues.wake('lease', 'a', 3_600_000);
        await queues.wake('lease', 'a');
        await done.opened;
        expect((await queues.counts())['wake-later'].delayed).toBe(1);
      }));

    it('gives the row of a worker that is gone to another one', () =>
      withQueues(
        async (queues) => {
          const backend = await openBackend(location, 1, silentLogger);
          const taken = gate();
          const never = new Promise<void>(() => undefined);
          const options = { lockDuration: 200, stalledInterval: 100, concurrency: 1 };
          const lost = backend.worker('reconcile', () => (taken.open(), never), options);
          lost.on('error', () => undefined);
          await queues.wake('lease', 'a');
          await taken.opened;
          await lost.close(true);
          expect((await queues.counts()).reconcile.active).toBe(1);
          const done = gate();
          await queues.start(
            handlers(async () => done.open()),
            ['reconcile'],
          );
          await done.opened;
          await idle(queues);
          await backend.close();
        },
        { lockMs: 200 },
      ));

    it('runs scheduled jobs, and schedules them anew when the queue was emptied under its feet', () => {
      const repairs = new Repairs();
      return withQueues(
        async (queues) => {
          let sweeps = 0;
          await queues.start(
            handlers(
              async () => undefined,
              () => void sweeps++,
            ),
            ['sweep'],
          );
          await until(() => sweeps >= 2);
          expect(await queues.mendSchedules()).toBe(0);
          await queues.emptyAll();
          const mended = await queues.mendSchedules();
          // A sweep that ran while the queue was emptied puts its own schedule back; the hourly one is surely lost.
          expect([1, 2]).toContain(mended);
          expect(repairs.totals()).toEqual({ 'schedule-lost': mended });
          const before = sweeps;
          await until(() => sweeps >= before + 2);
        },
        { repairs, everyMs: { sweep: 50, orphans: 3_600_000 } },
      );
    });

    it('lets a job of another release fail without blocking its row', () =>
      withQueues(async (queues) => {
        const backend = await openBackend(location, 1, silentLogger);
        const raw = backend.queue('reconcile');
        await raw.add('reconcile', { what: 'unknown' }, { deduplication: { id: 'lease:a', keepLastIfActive: true } });
        await raw.close();
        await backend.close();
        const driven: string[] = [];
        await queues.start(
          handlers(async (kind, id) => void driven.push(`${kind}:${id}`)),
          ['reconcile'],
        );
        await idle(queues);
        await queues.wake('lease', 'a');
        await until(() => driven.length === 1);
        expect(driven).toEqual(['lease:a']);
      }));

    it('waits for a running job when it is closed', () =>
      withQueues(async (queues, another) => {
        const [begun, goOn] = [gate(), gate()];
        let finished = false;
        const worker = await another();
        await worker.start(
          handlers(async () => {
            begun.open();
            await goOn.opened;
            finished = true;
          }),
          ['reconcile'],
        );
        await queues.wake('lease', 'a');
        await begun.opened;
        const closed = worker.close();
        goOn.open();
        await closed;
        expect(finished).toBe(true);
      }));

    it('tells its numbers, and which jobs are stuck', () => {
      let now = Date.now();
      return withQueues(
        async (queues) => {
          const [begun, goOn] = [gate(), gate()];
          await queues.start(
            handlers(async () => {
              begun.open();
              await goOn.opened;
            }),
            ['reconcile'],
          );
          await queues.wake('lease', 'a');
          await begun.opened;
          expect((await queues.counts()).reconcile).toEqual({ ...NOTHING, active: 1 });
          now += 2 * 15_000 + 1_000;
          expect((await queues.counts()).reconcile).toEqual({ ...NOTHING, active: 1, stuck: 1 });
          const registry = new Registry();
          registerQueueMetrics(registry, queues);
          expect(await registry.metrics()).toContain('berth_queue_jobs{job="reconcile",state="stuck"} 1');
          goOn.open();
          await idle(queues);
        },
        { clock: { now: () => now } },
      );
    });

    it('does not start with a job that nobody handles', () =>
      withQueues(async (queues) => {
        const one = new JobHandlers().on('reconcile', async () => undefined);
        await expect(queues.start(one, ['reconcile', 'sweep'])).rejects.toThrow(
          'No handler for the job sweep, orphans, sync-offers',
        );
        await queues.start(one, ['reconcile']);
      }));
  });
}
