import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { chooseAccount, parsePasswd } from './account.js';
import { reasonIn } from './cluster.js';
import { withFileLock } from './file-lock.js';
import { candidatePorts } from './port.js';
import { closedFolder, openPlace, permits } from './reach.js';
import { readState } from './state.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'berth-ground-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('the account of a server started by root', () => {
  const accounts = parsePasswd(
    '# comment\nroot:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\njoe:x:1000:1000::/home/joe:/bin/sh\nbad:x:-2:-2\n',
  );

  it('is read from passwd lines, leaving out what is no account', () => {
    expect(accounts.map((account) => account.name)).toEqual(['root', 'nobody', 'joe']);
    expect(accounts[1]).toEqual({ name: 'nobody', uid: 65534, gid: 65533 });
  });

  it('is never root, prefers postgres, and follows the owner of existing data', () => {
    expect(chooseAccount(accounts)?.name).toBe('nobody');
    expect(chooseAccount([...accounts, { name: 'postgres', uid: 70, gid: 70 }])?.name).toBe('postgres');
    expect(chooseAccount(accounts, 1000)?.name).toBe('joe');
    expect(chooseAccount(accounts, 4242)).toBeUndefined();
    expect(chooseAccount(accounts.slice(0, 1))).toBeUndefined();
  });
});

describe('reach', () => {
  it('reads the permission class that applies, not the widest one', () => {
    const file = { mode: 0o705, uid: 1, gid: 2 };
    expect(permits(file, { uid: 1, gid: 9 }, 7)).toBe(true);
    expect(permits(file, { uid: 9, gid: 2 }, 1)).toBe(false);
    expect(permits(file, { uid: 9, gid: 9 }, 5)).toBe(true);
    expect(permits(file, { uid: 9, gid: 9 }, 2)).toBe(false);
  });

  it('names the first closed folder on the way', () => {
    const deep = join(folder, 'a', 'b');
    mkdirSync(deep, { recursive: true });
    chmodSync(folder, 0o755);
    const stranger = { uid: 54321, gid: 54321 };
    expect(closedFolder(deep, stranger)).toBeUndefined();
    chmodSync(join(folder, 'a'), 0o700);
    expect(closedFolder(deep, stranger)).toBe(join(folder, 'a'));
  });

  it('refuses a place that somebody else laid out, and takes the next', () => {
    const [first, second, home] = ['first', 'second', 'home'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    for (const dir of [first, second, home]) mkdirSync(dir);
    const place = openPlace(home, [first]);
    expect(openPlace(home, [first])).toBe(place);
    rmSync(place, { recursive: true });
    symlinkSync(home, place);
    expect(openPlace(home, [first, second]).startsWith(second)).toBe(true);
    chmodSync(openPlace(home, [second]), 0o777);
    expect(() => openPlace(home, [first, second, join(folder, 'absent')])).toThrow(
      /no place.*only we can write.*ENOENT/,
    );
  });
});

describe('the start lock', () => {
  const path = (): string => join(folder, 'lock');

  it('lets one in at a time and opens after a failure', async () => {
    let inside = 0;
    let most = 0;
    const enter = () =>
      withFileLock(path(), async () => {
        inside += 1;
        most = Math.max(most, inside);
        await new Promise(setImmediate);
        inside -= 1;
      });
    await expect(withFileLock(path(), () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    await Promise.all([enter(), enter(), enter()]);
    expect(most).toBe(1);
  });

  it('breaks the lock of a dead process and of an earlier one with our number', async () => {
    // Pid numbers end at 2^22 on Linux and far lower elsewhere.
    for (const holder of [`99999999 1 ${hostname()}`, `${process.pid} earlier ${hostname()}`]) {
      writeFileSync(path(), holder);
      expect(await withFileLock(path(), () => Promise.resolve(readFileSync(path(), 'utf8')))).not.toBe(holder);
    }
  });
});

describe('smaller parts', () => {
  it('tries the remembered port first and no port twice', () => {
    const ports = [...candidatePorts('/some/home', 25_000)];
    expect(ports[0]).toBe(25_000);
    expect(new Set(ports.slice(1)).size).toBe(12_000);
    expect(Math.max(...ports)).toBeLessThan(32_768);
  });

  it('finds the telling line of a log', () => {
    expect(reasonIn('2026-01-01 UTC [7] LOG:  hello\n2026-01-01 UTC [7] FATAL:  could not bind.\n')).toBe(
      'could not bind',
    );
    expect(reasonIn('initdb: error: directory is not empty\ninitdb: hint: remove it')).toBe(
      'initdb: error: directory is not empty',
    );
    expect(reasonIn('all well')).toBeUndefined();
  });

  it('tells a damaged state file apart from none', () => {
    expect(readState(folder)).toBeUndefined();
    writeFileSync(join(folder, 'postgres.json'), '{"version":');
    expect(() => readState(folder)).toThrow(/postgres\.json cannot be read/);
  });
});
