import { setTimeout as pause } from 'node:timers/promises';
import type { JobView } from '#contracts';
import { rawRequest, type Login } from '../session.js';
import { eventsOf } from './events.js';

export interface Follower {
  onChange(message: string): void;
  onProgress(job: JobView): void;
  /** The connection is lost; it is tried again until the caller's signal says otherwise. */
  onLost?(): void;
}

/** A broker gives a sign of life every 15 s; a connection that is silent for longer than this is dead. */
const SILENT_MS = 60_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

/**
 * Follows a job until it ends, across lost connections; resumes after the last event seen.
 * Throws what the broker refuses, and BrokerUnreachable when it never answered.
 */
export async function follow(
  login: Login,
  id: string,
  follower: Follower,
  signal: AbortSignal,
  { silentMs, firstPauseMs }: { silentMs: number; firstPauseMs: number } = {
    silentMs: SILENT_MS,
    firstPauseMs: FIRST_PAUSE_MS,
  },
): Promise<JobView> {
  let last: string | null = null;
  let answered = false;
  let pauseMs = firstPauseMs;
  for (;;) {
    const attempt = new AbortController();
    const silence = setTimeout(() => attempt.abort(), silentMs);
    try {
      const response = await rawRequest(login, 'GET', `/v1/jobs/${id}/events`, {
        headers: { accept: 'text/event-stream', ...(last === null ? {} : { 'last-event-id': last }) },
        signal: AbortSignal.any([signal, attempt.signal]),
      });
      answered = true;
      for await (const event of eventsOf(heard(response.body, () => silence.refresh()))) {
        pauseMs = firstPauseMs;
        if (event.id !== null) last = event.id;
        if (event.event === 'end') return JSON.parse(event.data) as JobView;
        if (event.event === 'job') follower.onChange((JSON.parse(event.data) as { message: string }).message);
        if (event.event === 'progress') follower.onProgress(JSON.parse(event.data) as JobView);
      }
    } catch (error) {
      signal.throwIfAborted();
      if (!mayPass(error, answered)) throw error;
    } finally {
      clearTimeout(silence);
    }
    follower.onLost?.();
    await pause(pauseMs, undefined, { signal });
    pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
  }
}

/** True for what may be over soon: an overloaded broker, and a lost connection to one that did answer. */
function mayPass(error: unknown, answered: boolean): boolean {
  const name = error instanceof Error ? error.name : '';
  if (name !== 'BrokerRefused') return answered || name !== 'BrokerUnreachable';
  const status = error instanceof Error && 'status' in error ? Number(error.status) : 0;
  return status >= 500 || status === 429;
}

async function* heard(body: ReadableStream<Uint8Array> | null, onChunk: () => void): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  for await (const chunk of body) {
    onChunk();
    yield chunk;
  }
}
