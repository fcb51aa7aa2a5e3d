import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Registry } from 'prom-client';
import { silentLogger } from '#platform/observability';
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

function handlers(reconcile: (kind: string, id: string) => Promise<void>): JobHandlers {
  return new JobHandlers()
    .on('reconcile', async ({ rows }) => void (await Promise.all(rows.map(({ kind, id }) => reconcile(kind, id)))))
    .on('sync-offers', async () => undefined);
}

/** A machine that stood still for seconds loses no wake-up of these specs. */
export const PATIENT_MS = 60_000;

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
        const queues = await JobQueues.open({ location, logger: silentLogger, answerMs: PATIENT_MS, ...more });
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

    it('wakes again what is woken while it is driven', () =>
      withQueues(async (queues) => {
        const [begun, goOn, second] = [gate(), gate(), gate()];
        let runs = 0;
        await queues.start(
          handlers(async () => {
            if (++runs === 2) second.open();
            begun.open();
            await goOn.opened;
          }),
          ['reconcile'],
        );
        await queues.wake('lease', 'a');
        await begun.opened;
        await queues.wake('lease', 'a');
        await second.opened;
        goOn.open();
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

    it('makes one job of the wake-ups of one moment, with each row once', () =>
      withQueues(async (queues) => {
        const driven: string[] = [];
        // The first goes alone, at once; what comes right after it goes together.
        await queues.wake('lease', 'first');
        const rows = ['a', 'b', 'a', 'c', 'b'].map((id) => queues.wake('lease', id));
        await Promise.all([...rows, queues.wake('job', 'a')]);
        expect((await queues.counts()).reconcile.waiting).toBe(2);
        await queues.start(
          handlers(async (kind, id) => void driven.push(`${kind}:${id}`)),
          ['reconcile'],
        );
        await idle(queues);
        expect(driven.sort()).toEqual(['job:a', 'lease:a', 'lease:b', 'lease:c', 'lease:first']);
      }));

    it('drives every row after its last wake-up, with two workers and many wakers', () =>
      withQueues(async (first, another) => {
        const second = await another();
        const owed = new Map<string, number>();
        const seen = new Map<string, number>();
        const drive = async (_: string, id: string): Promise<void> => {
          const wakeUp = owed.get(id) ?? 0;
          await new Promise((resolve) => setImmediate(resolve));
          seen.set(id, Math.max(seen.get(id) ?? 0, wakeUp));
        };
        await first.start(handlers(drive), ['reconcile']);
        await second.start(handlers(drive), ['reconcile']);
        await Promise.all(
          Array.from({ length: 1_000 }, (_, i) => {
            const id = `row-${i % 7}`;
            owed.set(id, i);
            return (i % 2 ? first : second).wake('lease', id);
          }),
        );
        await idle(first);
        expect(seen).toEqual(owed);
      }));

    it('sends what waits before it closes', () =>
      withQueues(async (queues, another) => {
        const waker = await another();
        await waker.wake('lease', 'a');
        const late = waker.wake('lease', 'b');
        await waker.close();
        await late;
        expect(waker.lost).toBe(0);
        expect((await queues.counts()).reconcile.waiting).toBe(2);
      }));

    it('keeps one job of several that are the same', () =>
      withQueues(async (queues) => {
        for (const providerId of ['a', 'b', 'a', 'a']) await queues.add('sync-offers', { providerId });
        expect((await queues.counts())['sync-offers'].waiting).toBe(2);
      }));

    it('gives the row of a worker that is gone to another one', () =>
      withQueues(
        async (queues) => {
          const backend = await openBackend(location, 1, silentLogger);
          const taken = gate();
          const never = new Promise<void>(() => undefined);
          // It is the other worker that finds the lock expired.
          const options = { lockDuration: 200, skipStalledCheck: true, concurrency: 1 };
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

    it('lets a job of another release fail without blocking its row', () =>
      withQueues(async (queues) => {
        const backend = await openBackend(location, 1, silentLogger);
        const raw = backend.queue('reconcile');
        await raw.add('reconcile', { kind: 'lease', id: 'a' });
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
        await expect(queues.start(one, ['reconcile', 'sweep'])).rejects.toThrow('No handler for the job sync-offers');
        await queues.start(one, ['reconcile']);
      }));
  });
}
