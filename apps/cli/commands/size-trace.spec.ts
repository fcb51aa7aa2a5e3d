import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readTrace } from './size-trace.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-trace-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function traced(text: string | Buffer) {
  const file = join(folder, 'trace');
  await writeFile(file, text);
  return readTrace(file, {});
}

const HEAD = 'arrival_s,input_tokens,output_tokens\n';

describe('a trace from a file', () => {
  it('is read line by line, wherever the parts of the file end', async () => {
    const wide = `{"timestamp": 0, "input_length": 9, "output_length": 1, "note": "${'é'.repeat(300_000)}"}\r\n`;
    const { summary, skipped } = await traced(wide.repeat(3) + wide.trimEnd());
    expect([summary.requests, skipped]).toEqual([4, 0]);
  });

  it('may begin with a byte order mark and end without a line end', async () => {
    const { summary } = await traced(`\uFEFF${HEAD}1,5,5\r\n2,7,5`);
    expect([summary.requests, summary.inputTokens.max]).toEqual([2, 7]);
  });

  it('is refused at a line without an end', async () => {
    await expect(traced(HEAD + '1,5,5\n' + 'x'.repeat(17 * 1_048_576))).rejects.toThrow('line 3: is longer than');
  });

  it('is refused where it is in no form that is known, such as in UTF-16', async () => {
    await expect(traced(Buffer.from(`\uFEFF${HEAD}1,5,5`, 'utf16le'))).rejects.toThrow('no trace that is known');
  });
});
