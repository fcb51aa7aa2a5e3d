import { createHash, type Hash } from 'node:crypto';
import { hash32, ManualClock, SeededRandom } from '#kernel';

interface Waiting {
  readonly atMs: number;
  readonly key: number;
  readonly n: number;
  readonly label: string;
  readonly resume: () => void;
}

/** How many of the latest events are kept for the report of a failure. */
const TRACE = 200;

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
    // Ten minutes before a month ends: usage must be cut there.
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

  /** Puts a line into the trace and its hash without taking a turn. */
  note(text: string): void {
    const line = `${(this.elapsedMs / 1_000).toFixed(3)} ${text}`;
    this.hash.update(line);
    this.trace.push(line);
    if (this.trace.length > TRACE) this.trace.shift();
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

  /** Runs until `untilMs` after the start, or until `check`, asked after every event, says that it is over. */
  async run(untilMs: number, check: () => boolean): Promise<void> {
    const end = this.startMs + untilMs;
    for (;;) {
      const next = this.heap[0];
      if (!next || next.atMs > end) break;
      this.pop();
      this.clock.set(next.atMs);
      this.events++;
      this.note(next.label);
      next.resume();
      await settled();
      if (check()) return;
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

/** What a dead process waits for. */
export function never(): Promise<never> {
  return new Promise<never>(() => undefined);
}
