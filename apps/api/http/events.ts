import { Readable } from 'node:stream';
import type { EventAnswer } from './route.js';

/** Proxies close what is silent for a minute; a comment line keeps the stream alive. */
const BEAT_MS = 15_000;

/** Server-sent events as bytes; ends the source when the client goes away. */
export function eventStream(source: AsyncIterable<EventAnswer<unknown>>): Readable {
  return Readable.from(withBeats(source));
}

async function* withBeats(source: AsyncIterable<EventAnswer<unknown>>): AsyncGenerator<string> {
  const iterator = source[Symbol.asyncIterator]();
  yield 'retry: 2000\n\n';
  let next = iterator.next();
  try {
    for (;;) {
      let timer: NodeJS.Timeout | undefined;
      const beat = new Promise<'beat'>((resolve) => {
        timer = setTimeout(() => resolve('beat'), BEAT_MS);
      });
      const first = await Promise.race([next, beat]).finally(() => clearTimeout(timer));
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

function eventText(event: EventAnswer<unknown>): string {
  const id = event.id === undefined ? '' : `id: ${event.id.replace(/[\r\n\0]/g, '')}\n`;
  const name = event.event === undefined ? '' : `event: ${event.event.replace(/[\r\n]/g, '')}\n`;
  // JSON holds no raw line breaks, so one data line is enough.
  return `${id}${name}data: ${JSON.stringify(event.data)}\n\n`;
}
