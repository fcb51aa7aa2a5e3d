import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { eventsOf, type StreamEvent } from './events.js';

async function read(chunks: readonly Uint8Array[]): Promise<StreamEvent[]> {
  const events: StreamEvent[] = [];
  for await (const event of eventsOf(
    (async function* () {
      yield* chunks;
    })(),
  ))
    events.push(event);
  return events;
}

const whole =
  'retry: 2000\n\n:\n\nid: 7\nevent: job\ndata: {"m":"é░"}\n\nevent: end\ndata: a\ndata: b\n\ndata: not whole\n';
const expected = [
  { id: '7', event: 'job', data: '{"m":"é░"}' },
  { id: null, event: 'end', data: 'a\nb' },
];

describe('eventsOf', () => {
  it.each([
    ['\n', whole],
    ['\r\n', whole.replaceAll('\n', '\r\n')],
  ])('reads the same events however the bytes are cut, with line breaks %j', async (_, text) => {
    const bytes = new TextEncoder().encode(text);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: bytes.length })), async (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
        expect(await read(chunks)).toEqual(expected);
      }),
    );
  });
});
