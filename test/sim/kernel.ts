import { createHash, type Hash } from 'node:crypto';
import { hash32, ManualClock, SeededRandom } from '#kernel';

interface Waiting {
  readonly atMs: number;
  readonly key: number;
  readonly n: number;
  readonly label: string;
  readonly resume: () => void;
}

/**
 * One thread, virtual time. Whoever reaches a point waits there; the kernel resumes exactly one at a time, in the order of
 * (time, seeded key), and lets everything that follows settle before the next. So a seed decides every interleaving.
 */
export class Kernel {
  readonly clock: ManualClock;
  readonly startMs: number;
  private readonly heap: Waiting[] = [];
  private readonly hash: Hash = createHash('sha256');
  private readonly draws = new Map<string, SeededRandom>();
  private n = 0;
  events = 0;
  /** The latest labels, for the report of a failure. */
  readonly trace: string[] = [];

  constructor(readonly seed: number) {
    this.startMs = Date.UTC(2026, 10, 30, 23, 50);
    this.clock = new ManualClock(this.startMs);
  }

  /** A stream of its own for each purpose: removing one actor or fault leaves the draws of all others as they were. */
  random(purpose: string): SeededRandom {
    let stream = this.draws.get(purpose);
    if (!stream) this.draws.set(purpose, (stream = new SeededRandom(hash32(`${this.seed}/${purpose}`))));
    return stream;
  }

  get elapsedMs(): number {
    return this.clock.now() - this.startMs;
  }

  at(atMs: number, label: string, resume: () => void): void {
    const key = this.random(`order/${label.split(' ')[0]}`).float();
    const waiting: Waiting = { atMs: Math.max(atMs, this.clock.now()), key, n: this.n++, label, resume };
    // A binary heap: thousands wait at once.
    let i = this.heap.push(waiting) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = this.heap[parent];
      if (!above || !before(waiting, above)) break;
      this.heap[i] = above;
      i = parent;
    }
    this.heap[i] = waiting;
  }

  after(ms: number, label: string, resume: () => void): void {
    this.at(this.clock.now() + Math.round(ms), label, resume);
  }

  private pop(): Waiting | undefined {
    const top = this.heap[0];
    const last = this.heap.pop();
    if (!top || !last || this.heap.length === 0) return top;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      const left = this.heap[child];
      if (!left) break;
      const right = this.heap[child + 1];
      const least = right && before(right, left) ? right : left;
      if (least === right) child++;
      if (!before(least, last)) break;
      this.heap[i] = least;
      i = child;
    }
    this.heap[i] = last;
    return top;
  }

  /** Runs until `untilMs` after the start; `check` is asked after every event. */
  async run(untilMs: number, check: () => void): Promise<void> {
    const end = this.startMs + untilMs;
    for (;;) {
      const next = this.heap[0];
      if (!next || next.atMs > end) break;
      this.pop();
      this.clock.set(next.atMs);
      this.events++;
      const line = `${((next.atMs - this.startMs) / 1_000).toFixed(3)} ${next.label}`;
      this.hash.update(line);
      this.trace.push(line);
      if (this.trace.length > 200) this.trace.shift();
      next.resume();
      await settled();
      check();
    }
    this.clock.set(end);
  }

  digest(): string {
    return this.hash.copy().digest('hex').slice(0, 16);
  }
}

function before(a: Waiting, b: Waiting): boolean {
  if (a.atMs !== b.atMs) return a.atMs < b.atMs;
  if (a.key !== b.key) return a.key < b.key;
  return a.n < b.n;
}

/** Everything that can run without the kernel has run: our ports only ever wait at points. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A process of the simulation: when it crashes, whatever it was doing is never resumed. */
export class Process {
  private epoch = 0;

  constructor(
    readonly kernel: Kernel,
    readonly name: string,
  ) {}

  /** Waits `ms` (at least) and gives others their turn; never returns when the process has crashed meanwhile. */
  point(label: string, ms: number): Promise<void> {
    const epoch = this.epoch;
    return new Promise((resolve) => {
      this.kernel.after(ms, `${this.name} ${label}`, () => {
        if (this.epoch === epoch) resolve();
      });
    });
  }

  /** Runs `work` every so often until the process crashes. */
  every(ms: number, label: string, work: () => Promise<unknown>): void {
    const epoch = this.epoch;
    const jitter = this.kernel.random(`${this.name}/${label}`);
    const turn = (): void => {
      this.kernel.after(ms * (0.8 + 0.4 * jitter.float()), `${this.name} ${label}`, () => {
        if (this.epoch !== epoch) return;
        void work().then(
          () => turn(),
          () => turn(),
        );
      });
    };
    turn();
  }

  crash(): void {
    this.epoch++;
  }
}
