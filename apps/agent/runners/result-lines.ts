import { open, type FileHandle } from 'node:fs/promises';
import { batchResultLine, type BatchResultLine } from '#contracts';
import { EMPTY_TALLY, addToTally, type Tally } from './batch-answer.js';
import { linesOf } from './line-file.js';

/**
 * The result of a shard as it grows: line n answers input line n. Because lines are only ever appended in order, the number
 * of whole lines says where to go on after a crash; what a crash tore off at the end is cut away.
 */
export class ResultLines {
  private constructor(
    private readonly file: FileHandle,
    private lines: number,
    private counted: Tally,
  ) {}

  static async open(path: string): Promise<ResultLines> {
    const file = await open(path, 'a+', 0o600);
    let bytes = 0;
    let lines = 0;
    let tally = EMPTY_TALLY;
    for await (const { text, end, whole } of linesOf(file)) {
      const line = whole ? parse(text) : undefined;
      if (!line) break;
      bytes = end;
      lines++;
      tally = addToTally(tally, line);
    }
    await file.truncate(bytes);
    return new ResultLines(file, lines, tally);
  }

  get count(): number {
    return this.lines;
  }

  get tally(): Tally {
    return this.counted;
  }

  async append(answers: readonly BatchResultLine[]): Promise<void> {
    await this.file.appendFile(answers.map((line) => `${JSON.stringify(line)}\n`).join(''));
    this.lines += answers.length;
    this.counted = answers.reduce(addToTally, this.counted);
  }

  /** Forgets all lines: the input is not the one they were computed from. */
  async restart(): Promise<void> {
    await this.file.truncate(0);
    this.lines = 0;
    this.counted = EMPTY_TALLY;
  }

  /** Flushed to disk; only then may the result be reported. */
  async close(): Promise<void> {
    try {
      await this.file.sync();
    } finally {
      await this.file.close();
    }
  }
}

function parse(text: string): BatchResultLine | undefined {
  try {
    return batchResultLine.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
