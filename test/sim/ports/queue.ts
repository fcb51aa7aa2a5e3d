import type { WakeQueue } from '#platform/reconcile';
import type { History } from '../history.js';

/** The queue between all processes: it wakes one worker, soon, usually once. */
export class SimQueue implements WakeQueue {
  private generation = 0;
  private readonly waiting = new Map<number, string>();
  private readonly swallowed = new Set<string>();
  private n = 0;

  constructor(private readonly history: History) {}

  wake(kind: string, id: string): Promise<void> {
    const { history } = this;
    if (history.wrong.wakes === false) return Promise.resolve();
    const faults = history.strike('queue/wake', null);
    const find = (name: string): { arg?: number | undefined } | undefined => faults.find((f) => f.kind === name);
    if (find('swallowed')) this.swallowed.add(id);
    if (find('lost') || this.swallowed.has(id)) {
      history.causes.blame([id], find('lost') ? 'lost' : 'swallowed');
      return Promise.resolve();
    }
    const random = history.kernel.random('queue');
    const late = find('late')?.arg ?? 0;
    if (late > 0) history.causes.blame([id], 'late');
    for (let copies = find('doubled') ? 2 : 1; copies > 0; copies--) this.deliver(kind, id, random.int(2, 60) + late);
    if (find('emptied')) {
      history.causes.blame([...this.waiting.values()], 'emptied');
      this.waiting.clear();
      this.generation++;
    }
    return Promise.resolve();
  }

  private deliver(kind: string, id: string, afterMs: number): void {
    const { history } = this;
    const { generation } = this;
    const n = this.n++;
    this.waiting.set(n, id);
    history.kernel.after(afterMs, `queue ${kind} ${id.slice(-4)}`, () => {
      if (generation !== this.generation) return;
      this.waiting.delete(n);
      const up = history.workers.filter((w) => !w.process.dead);
      const worker = up[history.kernel.random('queue/who').int(0, Math.max(0, up.length - 1))];
      // Nobody there: the wake-up is lost, and the sweeper finds the row.
      if (!worker) history.causes.blame([id], 'nobody up');
      else worker.reconcile(kind, id);
    });
  }
}
