import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parseFlags } from './flags.js';
import { lockState } from './state-lock.js';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'berth-flags-'));
  await writeFile(join(dir, 'token'), 'tok_1\n');
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe('the command line', () => {
  const needed = ['--broker', 'http://127.0.0.1:1', '--state-dir', '/tmp/x'];

  it('takes what it needs and fills in the rest', () => {
    expect(parseFlags([...needed, '--token-file', join(dir, 'token'), '--slots', '3'])).toEqual({
      kind: 'run',
      flags: {
        brokerUrl: 'http://127.0.0.1:1',
        stateDir: '/tmp/x',
        token: 'tok_1',
        name: undefined,
        slots: 3,
        ggufPath: undefined,
        logLevel: 'info',
      },
    });
    expect(parseFlags(['--help']).kind).toBe('help');
    expect(parseFlags(['--version']).kind).toBe('version');
  });

  it.each([
    [[], /--broker is required\./],
    [['--broker', 'ftp://x', '--state-dir', 'y'], /--broker must be a URL that begins with http/],
    [[...needed, '--slots', '0'], /--slots must be at least 1\./],
    [[...needed, '--slots', 'two'], /--slots must be a whole number\./],
    [[...needed, '--gguf', '/no/such.gguf'], /--gguf names a file that does not exist\./],
    [[...needed, '--log-level', 'loud'], /--log-level must be trace,/],
    [[...needed, '--token-file', '/no/such'], /--token-file cannot be read/],
    [[...needed, '--token', 'a', '--token-file', '/no/such'], /exclude each other/],
    [[...needed, '--nonsense'], /nonsense/],
    [[...needed, 'positional'], /positional/],
  ])('says what is wrong with %j', (argv, sentence) => {
    const parsed = parseFlags(argv);
    expect(parsed.kind).toBe('wrong');
    expect(parsed.kind === 'wrong' ? parsed.sentences.join('\n') : '').toMatch(sentence);
  });
});

describe('the lock on a state folder', () => {
  it('keeps a second agent out, and yields when its holder is gone', async () => {
    await writeFile(join(dir, 'agent.pid'), '1');
    expect(await lockState(dir)).toBeNull();
    await writeFile(join(dir, 'agent.pid'), String(2 ** 22 + 1));
    const unlock = await lockState(dir);
    expect(unlock).not.toBeNull();
    await unlock?.();
    expect(await lockState(dir)).not.toBeNull();
  });
});
