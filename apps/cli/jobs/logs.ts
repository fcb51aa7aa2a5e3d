import { setTimeout as pause } from 'node:timers/promises';
import { answerOf, getJob, listJobLogs } from '#client';
import type { Run } from '../command.js';
import { tell } from '../exit.js';
import { print } from '../output.js';
import { jsonText, plain } from '../text.js';

export interface LogLine {
  readonly at: string;
  readonly stream: string;
  readonly text: string;
  readonly shard: string;
}

export interface LogPage {
  readonly items: readonly LogLine[];
  readonly nextCursor: string | null;
}

const LOOK_MS = 1_000;
const PAGE = 200;
const ENDED = ['succeeded', 'failed', 'cancelled'];

const keyOf = (line: LogLine): string => JSON.stringify([line.at, line.shard, line.stream, line.text]);

/** How often each line occurred; equal lines of one moment are told apart by their number. */
class Tally {
  constructor(private readonly counts = new Map<string, number>()) {}
  add(line: LogLine): number {
    const key = keyOf(line);
    const now = (this.counts.get(key) ?? 0) + 1;
    this.counts.set(key, now);
    return now;
  }
  of(line: LogLine): number {
    return this.counts.get(keyOf(line)) ?? 0;
  }
  minus(other: Tally): Tally {
    const left = [...this.counts].map(([key, n]) => [key, n - (other.counts.get(key) ?? 0)] as const);
    return new Tally(new Map(left.filter(([, n]) => n > 0)));
  }
}

/**
 * Log lines, each once. While the job runs, a look starts where the last page began; a line that came late and belongs
 * before it (machines send on their own time) is found by the one look at everything when the job has ended.
 */
export async function* logLines(
  read: (cursor: string | undefined) => Promise<LogPage>,
  hasEnded: () => Promise<boolean>,
  wait: () => Promise<void>,
): AsyncGenerator<LogLine> {
  const printed = new Tally();
  let from: string | undefined;
  let ofPage = new Tally();
  for (let looks = 0; ; looks++) {
    // Before the read: lines written between the two questions are seen by the next read.
    const ended = await hasEnded();
    if (ended && looks > 0) {
      const all = new Tally();
      for (let cursor: string | undefined, more = true; more;) {
        const page = await read(cursor);
        for (const line of page.items) {
          if (all.add(line) <= printed.of(line)) continue;
          printed.add(line);
          yield line;
        }
        more = page.nextCursor !== null;
        cursor = page.nextCursor ?? undefined;
      }
      return;
    }
    for (;;) {
      const page = await read(from);
      const now = new Tally();
      for (const line of page.items) {
        if (now.add(line) <= ofPage.of(line)) continue;
        ofPage.add(line);
        printed.add(line);
        yield line;
      }
      if (page.nextCursor === null) break;
      from = page.nextCursor;
      // Lines that an earlier one pushed out of this page are on the next.
      ofPage = ofPage.minus(now);
    }
    if (ended) return;
    await wait();
  }
}

/** Prints log lines; with `follow`, new ones until the job has ended. */
export async function printLogs(run: Run, id: string, follow: boolean): Promise<void> {
  const path = { id };
  const { client, output } = run;
  const lines = logLines(
    (cursor) =>
      answerOf(listJobLogs({ client, path, query: { limit: PAGE, ...(cursor === undefined ? {} : { cursor }) } })),
    async () => !follow || ENDED.includes((await answerOf(getJob({ client, path }))).state),
    () => pause(LOOK_MS),
  );
  let printed = 0;
  for await (const line of lines) {
    printed++;
    const from = output.table && line.stream !== 'stdout' ? `[${plain(line.stream)}] ` : '';
    print(output.json ? `${jsonText(line)}\n` : `${from}${plain(line.text)}\n`);
  }
  if (printed === 0 && !output.quiet) tell('There are no log lines.');
}
