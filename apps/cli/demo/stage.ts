import { Listr } from 'listr2';
import { plain } from '../text.js';

/** What one step tells: how far it is, and what it found. */
export interface Teller {
  /** How far it is; replaced by the next on a terminal. */
  progress(text: string): void;
  /** Lines that stay, shown under the step when it has ended. */
  found(text: string): void;
}

/** Without a terminal each progress line stays: one is enough now and then. */
const PLAIN_EVERY_MS = 5_000;

/** Where the demo shows itself: steps with progress on a terminal, plain lines elsewhere, nothing when only JSON is wanted. */
export class Stage {
  private readonly began = Date.now();
  private lastPlain = 0;

  constructor(
    private readonly silent: boolean,
    private readonly live: boolean,
  ) {}

  get elapsedS(): number {
    return (Date.now() - this.began) / 1_000;
  }

  /** Runs one step under its title; shows what it found and how long it took. */
  async step<T>(title: string, work: (tell: Teller) => Promise<T>): Promise<T> {
    const began = Date.now();
    const found: string[] = [];
    const took = (): string => `${((Date.now() - began) / 1_000).toFixed(1)} s`;
    if (this.silent) return work({ progress: () => undefined, found: () => undefined });
    if (!this.live) {
      process.stdout.write(`\n> ${title}\n`);
      const value = await work({ progress: (text) => this.sayPlainly(text), found: (text) => this.show(text) });
      process.stdout.write(`  (${took()})\n`);
      return value;
    }
    process.stdout.write('\n');
    const outcome: { value?: T } = {};
    const steps = new Listr(
      [
        {
          title,
          task: async (_context, task) => {
            outcome.value = await work({
              progress: (text) => (task.output = plain(text)),
              // Kept until the live part has ended: lines in between would be drawn over.
              found: (text) => void found.push(text),
            });
            task.title = `${title} (${took()})`;
          },
        },
      ],
      { rendererOptions: { collapseErrors: false, showErrorMessage: false } },
    );
    try {
      await steps.run();
    } finally {
      for (const text of found) this.show(text);
    }
    return outcome.value as T;
  }

  private sayPlainly(text: string): void {
    if (Date.now() - this.lastPlain < PLAIN_EVERY_MS) return;
    this.lastPlain = Date.now();
    process.stdout.write(`  ${plain(text)}\n`);
  }

  /** Lines of text, safe for a terminal. */
  show(text: string): void {
    if (this.silent) return;
    for (const line of text.trimEnd().split('\n')) process.stdout.write(line === '' ? '\n' : `  ${plain(line)}\n`);
  }
}
