import { Readable } from 'node:stream';
import type { EventAnswer } from './route.js';

/** Proxies close what is silent for a minute; a comment line keeps the stream alive. */
const BEAT_MS = 15_000;

/** Server-sent events as bytes; ends, and ends its source, with the signal or when the client goes away. */
export function eventStream(source: AsyncIterable<EventAnswer<unknown>>, signal: AbortSignal): Readable {
  return Readable.from(withBeats(source, signal));
}

async function* withBeats(source: AsyncIterable<EventAnswer<unknown>>, signal: AbortSignal): AsyncGenerator<string> {
  const iterator = source[Symbol.asyncIterator]();
  yield 'retry: 2000\n\n';
  let next = iterator.next();
  try {
    for (;;) {
      if (signal.aborted) return;
      const first = await firstOf(next, signal);
      if (first === 'beat') yield ':\n\n';
      else if (first.done) return;
      else {
        yield eventText(first.value);
        next = iterator.next();
      }
    }
  } finally {
    // Not awaited: a source that waits inside next() must not hold the connection's end up.
    next.catch(() => undefined);
    void Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}

/** The next event, or 'beat' when it is time for a sign of life or to look at the signal. */
function firstOf<T>(next: Promise<T>, signal: AbortSignal): Promise<T | 'beat'> {
  return new Promise((resolve, reject) => {
    const beat = (): void => settle(() => resolve('beat'));
    const timer = setTimeout(beat, BEAT_MS);
    const settle = (end: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', beat);
      end();
    };
    signal.addEventListener('abort', beat);
    next.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error as Error)),
    );
  });
}

function eventText(event: EventAnswer<unknown>): string {
  const id = event.id === undefined ? '' : `id: ${event.id.replace(/[\r\n\0]/g, '')}\n`;
  const name = event.event === undefined ? '' : `event: ${event.event.replace(/[\r\n]/g, '')}\n`;
  // JSON holds no raw line breaks, so one data line is enough.
  return `${id}${name}data: ${JSON.stringify(event.data)}\n\n`;
}
