import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, it } from '@jest/globals';
import { unpackWoff } from './woff.js';

const require = createRequire(import.meta.url);
const woff = (name: string): Buffer =>
  readFileSync(require.resolve(`roboto-fontface/fonts/roboto/Roboto-${name}.woff`));

interface Table {
  readonly tag: string;
  readonly checksum: number;
  readonly bytes: Buffer;
}

function tablesOf(font: Buffer): Table[] {
  return Array.from({ length: font.readUInt16BE(4) }, (_, i) => {
    const at = 12 + 16 * i;
    const [offset, length] = [font.readUInt32BE(at + 8), font.readUInt32BE(at + 12)];
    expect([offset % 4, offset + length <= font.length]).toEqual([0, true]);
    const bytes = font.subarray(offset, offset + length);
    return { tag: font.toString('latin1', at, at + 4), checksum: font.readUInt32BE(at + 4), bytes };
  });
}

/** As the OpenType specification sums up a table: 32-bit words, the last one filled with zeros. */
function checksumOf({ tag, bytes }: Table): number {
  const words = Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
  // The sum of the whole font stands in its head, and counts as zero there.
  if (tag === 'head') words.writeUInt32BE(0, 8);
  let sum = 0;
  for (let i = 0; i < words.length; i += 4) sum = (sum + words.readUInt32BE(i)) >>> 0;
  return sum;
}

describe('a font that is unpacked', () => {
  it.each(['Regular', 'Medium', 'Bold'])('%s has every table whole, where its directory says', (name) => {
    const font = unpackWoff(woff(name));
    // Outlines of the TrueType kind, and the search fields that belong to the number of tables.
    expect(font.readUInt32BE(0)).toBe(0x00010000);
    const tables = tablesOf(font);
    expect(tables.map((t) => t.tag)).toEqual(expect.arrayContaining(['cmap', 'glyf', 'head', 'hmtx', 'loca']));
    const log = Math.floor(Math.log2(tables.length));
    expect([6, 8, 10].map((at) => font.readUInt16BE(at))).toEqual([
      16 * 2 ** log,
      log,
      16 * (tables.length - 2 ** log),
    ]);
    for (const t of tables) expect([t.tag, checksumOf(t)]).toEqual([t.tag, t.checksum]);
  });

  it('that is another kind of file, or damaged, is refused', () => {
    expect(() => unpackWoff(Buffer.from('wOF2 is packed otherwise'))).toThrow('not a WOFF font');
    const damaged = Buffer.from(woff('Regular'));
    damaged.writeUInt32BE(damaged.readUInt32BE(44 + 12) + 1, 44 + 12);
    expect(() => unpackWoff(damaged)).toThrow('a table of the font is damaged');
  });
});
