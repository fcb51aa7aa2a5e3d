import { Listr } from 'listr2';
import { plain } from '../text.js';

/** Where the demo shows itself: steps with progress on a terminal, plain lines elsewhere, nothing when only JSON is wanted. */
export class Stage {
  private readonly began = Date.now();
  private lastPlain = 0;

  constructor(
    readonly silent: boolean,
    private readonly live: boolean,
  ) {}

  /** Runs one step under its title; `say` shows how far it is. Returns what the step returns. */
  async step<T>(title: string, work: (say: (text: string) => void) => Promise<T>): Promise<T> {
    const began = Date.now();
    const outcome: { value?: T } = {};
    const took = (): string => `${((Date.now() - began) / 1_000).toFixed(1)} s`;
    if (this.silent || !this.live) {
      if (!this.silent) process.stdout.write(`\n> ${title}\n`);
      const value = await work((text) => this.sayPlainly(text));
      if (!this.silent) process.stdout.write(`  done in ${took()}\n`);
      return value;
    }
    process.stdout.write('\n');
    await new Listr(
      [
        {
          title,
          task: async (_context, task) => {
            outcome.value = await work((text) => (task.output = plain(text)));
            task.title = `${title} (${took()})`;
          },
        },
      ],
      { rendererOptions: { collapseErrors: false } },
    ).run();
    return outcome.value as T;
  }

  /** Without a terminal, progress is a line a second at most. */
  private sayPlainly(text: string): void {
    if (this.silent || Date.now() - this.lastPlain < 1_000) return;
    this.lastPlain = Date.now();
    process.stdout.write(`  ${plain(text)}\n`);
  }

  /** Text under a step. */
  show(text: string): void {
    if (this.silent) return;
    for (const line of text.trimEnd().split('\n')) process.stdout.write(`  ${plain(line)}\n`);
  }

  get elapsedS(): number {
    return (Date.now() - this.began) / 1_000;
  }
}
