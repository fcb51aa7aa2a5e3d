import type { Broker } from '#broker';
import type { History } from '../history.js';
import { Injected } from '../injected.js';
import { Process } from '../process.js';

/** The API: what tenants and agents reach over a network. When it dies, every caller sees a broken connection. */
export class Api {
  private life: { process: Process; broker: Broker } | null = null;

  constructor(private readonly history: History) {
    this.start();
  }

  private start(): void {
    const { history } = this;
    const process = new Process(history.kernel, 'api', (p) => history.atStep(p));
    this.life = { process, broker: history.compose(process, history.kernel.clock) };
    process.whenDead(() => {
      this.life = null;
      history.kernel.after(history.kernel.random('restart/api').int(300, 8_000), 'restart api', () => this.start());
    });
  }

  /** Dies, and comes back as after any death. */
  stop(): void {
    if (this.life) this.history.crash(this.life.process);
  }

  /** One request of `caller` and its answer. Throws what the handler throws, or Injected when the connection broke. */
  async ask<T>(caller: Process, label: string, handle: (broker: Broker) => Promise<T>, delayMs = 0): Promise<T> {
    const random = this.history.kernel.random(`${caller.name}/network`);
    await caller.point(`asks ${label}`, random.int(2, 40) + delayMs);
    const { life } = this;
    if (!life) throw new Injected('nobody listens');
    const { process, broker } = life;
    const answer = new Promise<T>((resolve, reject) => {
      const forget = process.whenDead(() => reject(new Injected('the connection was reset')));
      process
        .point(`handles ${label}`, 1)
        .then(() => handle(broker))
        .then(resolve, reject)
        .finally(forget);
    });
    const outcome = await caller.attend(
      answer.then(
        (value) => ({ value }),
        (error: unknown) => ({ error }),
      ),
    );
    await caller.point(`hears ${label}`, random.int(2, 40));
    if ('error' in outcome) throw outcome.error;
    return outcome.value;
  }
}
