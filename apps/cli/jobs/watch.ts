import type { JobView } from '#contracts';
import type { Run } from '../command.js';
import { Ended, EXIT, tell } from '../exit.js';
import { factsText, print } from '../output.js';
import { rawRequest, type Login } from '../session.js';
import { dollars, plain } from '../text.js';

interface StreamEvent {
  readonly id: string | null;
  readonly event: string;
  readonly data: string;
}

/** Server-sent events of a response body, as they come. */
export async function* eventsOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<StreamEvent> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    for (let end = rest.indexOf('\n\n'); end !== -1; end = rest.indexOf('\n\n')) {
      const block = rest.slice(0, end);
      rest = rest.slice(end + 2);
      const field = (name: string): string | null => new RegExp(`^${name}: ?(.*)$`, 'm').exec(block)?.[1] ?? null;
      const data = field('data');
      if (data !== null) yield { id: field('id'), event: field('event') ?? 'message', data };
    }
  }
}

export interface Follower {
  onChange(message: string): void;
  onProgress(job: JobView): void;
}

/** Follows a job until it ends, across lost connections; resumes after the last event seen. */
export async function follow(login: Login, id: string, follower: Follower, signal: AbortSignal): Promise<JobView> {
  let last: string | null = null;
  for (let pauseMs = 500; ; pauseMs = Math.min(pauseMs * 2, 10_000)) {
    try {
      const response = await rawRequest(login, 'GET', `/v1/jobs/${id}/events`, {
        headers: { accept: 'text/event-stream', ...(last === null ? {} : { 'last-event-id': last }) },
        signal,
      });
      if (response.body) {
        for await (const event of eventsOf(response.body)) {
          if (event.id !== null) last = event.id;
          if (event.event === 'end') return JSON.parse(event.data) as JobView;
          if (event.event === 'job') follower.onChange((JSON.parse(event.data) as { message: string }).message);
          if (event.event === 'progress') follower.onProgress(JSON.parse(event.data) as JobView);
          pauseMs = 500;
        }
      }
    } catch (error) {
      const refused = error instanceof Error && error.name === 'BrokerRefused';
      if (signal.aborted || (refused && 'status' in error && (error.status as number) < 500 && error.status !== 429))
        throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    signal.throwIfAborted();
  }
}

const BAR = 30;

function bar(job: JobView): string {
  const { linesTotal, linesOk, linesFailed } = job.progress;
  const done = linesOk + linesFailed;
  const filled = linesTotal === 0 ? 0 : Math.round((done / linesTotal) * BAR);
  return `${'█'.repeat(filled)}${'░'.repeat(BAR - filled)} ${done}/${linesTotal} ${job.state} ${dollars(job.cost.charged)}`;
}

/** Follows a job on standard error and prints it at its end; the exit code tells how it ended. */
export async function watchToEnd(
  run: Run,
  id: string,
  limitS: number | null,
  fine: readonly string[] = ['succeeded'],
): Promise<void> {
  const live = process.stderr.isTTY && !run.output.quiet;
  const abort = new AbortController();
  const interrupted = (): void => {
    tell(`\nThe job goes on. Follow it again with: berth jobs watch ${id}`);
    process.exit(130);
  };
  process.once('SIGINT', interrupted);
  const timer = limitS === null ? undefined : setTimeout(() => abort.abort(), limitS * 1_000);
  const clear = live ? '\r\u001b[K' : '';
  let job: JobView;
  try {
    job = await follow(
      run.login,
      id,
      {
        onChange: (message) => {
          if (!run.output.quiet) process.stderr.write(`${clear}${plain(message)}\n`);
        },
        onProgress: (view) => {
          if (live) process.stderr.write(`${clear}${plain(bar(view))}`);
        },
      },
      abort.signal,
    );
  } catch (error) {
    if (abort.signal.aborted)
      throw new Ended(
        EXIT.waitRanOut,
        `the job has not ended within ${limitS} s; it goes on.\n  Follow it with: berth jobs watch ${id}`,
      );
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
      ],
      run.output,
    ),
  );
  if (!fine.includes(job.state))
    throw new Ended(
      EXIT.failed,
      `the job ended as ${job.state}${job.reason === null ? '' : `: ${job.reason}`}.\n  See: berth jobs logs ${id}`,
    );
}
