import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EXIT } from './exit.js';
import { loginOf, loginsFile } from './session.js';

const home = mkdtempSync(join(tmpdir(), 'berth-session-'));
const base = { BERTH_CLI_CONFIG: join(home, 'config'), BERTH_HOME: join(home, 'broker') };
const saved = { url: 'http://saved:1', key: 'saved-key' };

beforeEach(() => {
  rmSync(base.BERTH_CLI_CONFIG, { recursive: true, force: true });
  rmSync(base.BERTH_HOME, { recursive: true, force: true });
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

function save(text: string): void {
  mkdirSync(base.BERTH_CLI_CONFIG, { recursive: true });
  writeFileSync(loginsFile(base), text);
}

describe('the login in use', () => {
  it.each([
    ['both variables', { BERTH_CLI_URL: 'http://env:2/', BERTH_CLI_KEY: 'k' }, { url: 'http://env:2', key: 'k' }],
    ['another key for the saved broker', { BERTH_CLI_KEY: 'k' }, { url: saved.url, key: 'k' }],
    ['the saved broker named again', { BERTH_CLI_URL: 'http://saved:1/' }, saved],
    ['no variable', {}, saved],
    ['empty variables', { BERTH_CLI_URL: '', BERTH_CLI_KEY: '' }, saved],
  ])('is, with %s', async (_, env, login) => {
    save(JSON.stringify({ default: saved }));
    expect(await loginOf('default', { ...base, ...env })).toEqual(login);
  });

  it('never takes a saved key to another broker', async () => {
    save(JSON.stringify({ default: saved }));
    await expect(loginOf('default', { ...base, BERTH_CLI_URL: 'http://elsewhere' })).rejects.toMatchObject({
      code: EXIT.notAllowed,
      message: expect.stringContaining('http://elsewhere'),
    });
  });

  it.each([
    [{ BERTH_CLI_URL: 'banana', BERTH_CLI_KEY: 'k' }, '"banana" is not an address'],
    [{ BERTH_CLI_URL: 'ftp://x', BERTH_CLI_KEY: 'k' }, '"ftp://x" is not an address'],
    [{ BERTH_CLI_URL: 'http://x', BERTH_CLI_KEY: 'two\nlines' }, 'not one word'],
  ])('%j is refused as it stands', async (env, says) => {
    await expect(loginOf('default', { ...base, ...env })).rejects.toMatchObject({
      code: EXIT.usage,
      message: expect.stringContaining(says),
    });
  });

  it('is the broker of this machine when nothing was saved: its tenant, or as admin its administrator', async () => {
    mkdirSync(base.BERTH_HOME, { recursive: true });
    const state = { url: 'http://here:3', platformKey: 'p', demo: { organizationId: 'o', projectId: 'p', key: 't' } };
    writeFileSync(join(base.BERTH_HOME, 'local.json'), JSON.stringify(state));
    expect(await loginOf('default', base)).toEqual({ url: 'http://here:3', key: 't' });
    expect(await loginOf('admin', base)).toEqual({ url: 'http://here:3', key: 'p' });
    await expect(loginOf('other', base)).rejects.toMatchObject({ code: EXIT.notAllowed });
    save(JSON.stringify({ default: saved }));
    expect(await loginOf('default', base)).toEqual(saved);
  });

  it('names a file of logins that cannot be read', async () => {
    save('{');
    await expect(loginOf('default', base)).rejects.toMatchObject({
      code: EXIT.usage,
      message: expect.stringContaining(loginsFile(base)),
    });
  });
});
