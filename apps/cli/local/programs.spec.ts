import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { closeSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { restartPauseMs } from './kept-program.js';
import { freePort, openLog, trimLog, tryPort } from './programs.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'berth-local-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const BIG = 'x'.repeat((10 << 20) + 1);

describe('logs', () => {
  it('are put aside by size while their program goes on writing', () => {
    const file = join(folder, 'logs', 'api.log');
    const log = openLog(file);
    writeSync(log, BIG);
    trimLog(file);
    writeSync(log, 'next\n');
    closeSync(log);
    expect(readFileSync(file, 'utf8')).toBe('next\n');
    expect(statSync(`${file}.1`).size).toBe(BIG.length);
  });

  it('are left as they are while they are small, and are readable by their owner only', () => {
    const file = join(folder, 'logs', 'api.log');
    closeSync(openLog(file));
    writeFileSync(file, 'line\n');
    trimLog(file);
    expect(readFileSync(file, 'utf8')).toBe('line\n');
    expect(statSync(file).mode & 0o077).toBe(0);
  });
});

describe('the port', () => {
  it('is another one when the wanted one is taken', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    try {
      expect(await tryPort(port)).toBeNull();
      const other = await freePort(port);
      expect(other).toBeGreaterThan(0);
      expect(other).not.toBe(port);
    } finally {
      server.close();
    }
  });
});

describe('the pause before a program is started again', () => {
  it('doubles from half a second and ends at half a minute', () => {
    expect([0, 1, 2, 6, 7, 60].map(restartPauseMs)).toEqual([500, 1_000, 2_000, 30_000, 30_000, 30_000]);
  });
});
