import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { logLines, type LogLine } from './logs.js';

const line = (at: number, text: string, shard = 's'): LogLine => ({
  at: new Date(at).toISOString(),
  stream: 'stdout',
  text,
  shard,
});

/** Lines as a broker keeps them: ordered by time, read in pages after a position; equal times keep their order of coming. */
class Kept {
  lines: { line: LogLine; n: number }[] = [];
  reads = 0;
  add(...more: LogLine[]): void {
    for (const l of more) this.lines.push({ line: l, n: this.lines.length });
    this.lines.sort((a, b) => a.line.at.localeCompare(b.line.at) || a.n - b.n);
  }
  read = (size: number) => (cursor: string | undefined) => {
    this.reads++;
    const [at = '', n = '-1'] = cursor?.split('/') ?? [];
    const rest = this.lines.filter((l) => l.line.at > at || (l.line.at === at && l.n > Number(n)));
    const page = rest.slice(0, size);
    const last = page.at(-1);
    const nextCursor = rest.length > size && last ? `${last.line.at}/${last.n}` : null;
    return Promise.resolve({ items: page.map((l) => l.line), nextCursor });
  };
}

async function follow(kept: Kept, size: number, comings: LogLine[][]): Promise<string[]> {
  const left = [...comings];
  const texts: string[] = [];
  const ended = (): Promise<boolean> => Promise.resolve(left.length === 0);
  const wait = (): Promise<void> => {
    kept.add(...(left.shift() ?? []));
    return Promise.resolve();
  };
  for await (const l of logLines(kept.read(size), ended, wait)) texts.push(l.text);
  return texts;
}

describe('following logs', () => {
  it('gives lines in order while they come in order, and does not read from the start at each look', async () => {
    const kept = new Kept();
    const comings = Array.from({ length: 30 }, (_, i) => [line(i, `a${i}`), line(i, `b${i}`)]);
    expect(await follow(kept, 4, comings)).toEqual(comings.flat().map((l) => l.text));
    // 30 looks of one or two pages, and one of all 15 pages.
    expect(kept.reads).toBeLessThan(30 * 2 + 16);
  });

  it('gives each line exactly once, however late it comes and however many are equal', async () => {
    const anyLine = fc.tuple(fc.nat({ max: 5 }), fc.constantFrom('x', '', 'y')).map(([at, text]) => line(at, text));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(anyLine, { maxLength: 8 }), { maxLength: 6 }),
        fc.integer({ min: 1, max: 4 }),
        async (comings, size) => {
          const kept = new Kept();
          const texts = await follow(kept, size, comings);
          expect(texts.sort()).toEqual(kept.lines.map((l) => l.line.text).sort());
        },
      ),
    );
  });
});
