import type { JobView } from '#contracts';
import type { Run } from '../command.js';
import { Ended, EXIT, INTERRUPTED, tell } from '../exit.js';
import { factsText, print } from '../output.js';
import { dollars, duration, plainLine } from '../text.js';
import { follow } from './follow.js';

const BAR = 30;

/** Progress of a job as one line for a terminal. */
export function bar(job: Pick<JobView, 'progress' | 'state' | 'cost'>): string {
  const { linesTotal, linesOk, linesFailed } = job.progress;
  const done = linesOk + linesFailed;
  const filled = linesTotal === 0 ? 0 : Math.min(BAR, Math.round((done / linesTotal) * BAR));
  return `${'█'.repeat(filled)}${'░'.repeat(BAR - filled)} ${done}/${linesTotal} ${job.state} ${dollars(String(BigInt(job.cost.charged) + BigInt(job.cost.running)))}`;
}

/** Follows a job on standard error and prints it at its end; the exit code tells how it ended. */
export async function watchToEnd(
  run: Run,
  id: string,
  limitS: number | null,
  fine: readonly string[] = ['succeeded'],
): Promise<void> {
  const again = `Follow it with: berth jobs watch ${id}`;
  const { quiet } = run.output;
  const live = process.stderr.isTTY && !quiet && process.env['TERM'] !== 'dumb';
  const clear = live ? '\r\u001b[K' : '';
  const say = (text: string): void => {
    if (!quiet) process.stderr.write(`${clear}${plainLine(text)}\n`);
  };
  const interrupted = (): void => {
    tell(`\nThe job goes on. Follow it again with: berth jobs watch ${id}`);
    process.exit(INTERRUPTED);
  };
  process.once('SIGINT', interrupted);
  const abort = new AbortController();
  const timer = limitS === null ? undefined : setTimeout(() => abort.abort(), limitS * 1_000);
  let lost = false;
  const found = (): void => {
    if (lost) say('The broker answers again.');
    lost = false;
  };
  let job: JobView;
  try {
    job = await follow(
      run.login,
      id,
      {
        onChange: (message) => {
          found();
          say(message);
        },
        onProgress: (view) => {
          found();
          if (live) process.stderr.write(`${clear}${plainLine(bar(view))}`);
        },
        onLost: () => {
          if (!lost) say('The connection to the broker is lost; trying again. The job goes on.');
          lost = true;
        },
      },
      abort.signal,
    );
  } catch (error) {
    if (abort.signal.aborted)
      throw new Ended(
        EXIT.waitRanOut,
        `the job has not ended within ${duration(limitS ?? 0)}; it goes on.\n  ${again}`,
      );
    if (error instanceof Error && error.name === 'BrokerUnreachable')
      throw new Ended(EXIT.retryLater, `${error.message}\n  ${again}`);
    throw error;
  } finally {
    clearTimeout(timer);
    process.removeListener('SIGINT', interrupted);
    if (live) process.stderr.write(clear);
  }
  print(
    factsText(
      job,
      [
        ['id', job.id],
        ['state', job.state],
        ['reason', job.reason],
        ['lines', `${job.progress.linesOk} done, ${job.progress.linesFailed} failed, of ${job.progress.linesTotal}`],
        ['charged', dollars(job.cost.charged)],
        ...(job.deadlineAt === null ? [] : [['deadline', job.deadlineAt] as const]),
      ],
      run.output,
    ),
  );
  if (!fine.includes(job.state))
    throw new Ended(
      EXIT.failed,
      `the job ended as ${job.state}${job.reason === null ? '' : `: ${plainLine(job.reason).replace(/\.+$/, '')}`}.\n  See: berth jobs logs ${id}`,
    );
}
