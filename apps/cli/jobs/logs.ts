import { answerOf, getJob, listJobLogs } from '#client';
import type { Run } from '../command.js';
import { print } from '../output.js';
import { plain } from '../text.js';

const LOOK_MS = 1_000;
const ENDED = ['succeeded', 'failed', 'cancelled'];

/** Prints log lines in order; with `follow`, new ones until the job has ended. */
export async function printLogs(run: Run, id: string, follow: boolean): Promise<void> {
  const path = { id };
  let printed = 0;
  for (;;) {
    // Before the read: lines written between the two looks are seen by the second.
    const ended = !follow || ENDED.includes((await answerOf(getJob({ client: run.client, path }))).state);
    let at = 0;
    let cursor: string | undefined;
    do {
      const page = await answerOf(
        listJobLogs({ client: run.client, path, query: { limit: 200, ...(cursor === undefined ? {} : { cursor }) } }),
      );
      for (const line of page.items) {
        at++;
        if (at <= printed) continue;
        print(
          run.output.json
            ? `${JSON.stringify(line)}\n`
            : `${run.output.table && line.stream !== 'stdout' ? `[${line.stream}] ` : ''}${plain(line.text)}\n`,
        );
      }
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    printed = Math.max(printed, at);
    if (ended) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
