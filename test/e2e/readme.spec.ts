import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const section = readFileSync(join(root, 'README.md'), 'utf8').split('## Your first job')[1]?.split('\n## ')[0] ?? '';
/** Every line of the section's shell blocks, in order; the build is done before specs run. */
const lines = [...section.matchAll(/```sh\n([\s\S]*?)```/g)]
  .flatMap(([, block = '']) => block.trim().split('\n'))
  .filter((line) => line !== 'npm run build');

describe('README, "Your first job"', () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-readme-'));
  const said: string[] = [];
  const environment = {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    LANG: 'C.UTF-8',
    BERTH_HOME: join(folder, 'home'),
    BERTH_CLI_CONFIG: join(folder, 'config'),
  };
  const shell = (script: string): Promise<{ code: number; out: string }> =>
    new Promise((resolve) => {
      execFile(
        'bash',
        ['-c', script],
        { cwd: root, env: environment, maxBuffer: 64 << 20, timeout: 200_000 },
        (error, stdout, stderr) =>
          resolve({ code: error ? (typeof error.code === 'number' ? error.code : 1) : 0, out: `${stdout}${stderr}` }),
      );
    });

  beforeAll(async () => {
    // One shell, as a reader has one terminal; each line says how it ended. What the lines write goes to the scratch folder.
    const script = lines
      .map((line) => line.replaceAll(/(results\.jsonl|artifact\.json|job\.json)/g, `${folder}/$1`))
      .map((line, i) => `${line}\necho "@@${i}=$?"`)
      .join('\n');
    const { out } = await shell(`set -o pipefail\n${script}`);
    said.push(out);
  }, 220_000);

  afterAll(async () => {
    await shell(`PATH="$PWD/bin:$PATH" berth down --quiet`);
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  it('has lines to run', () => {
    expect(lines.length).toBeGreaterThan(20);
  });

  it.each(lines.map((line, i) => [i, line] as const))('line %i works: %s', (i) => {
    expect(said.join('')).toContain(`@@${i}=0`);
  });

  it('shows what it promises', () => {
    const out = said.join('');
    expect(out).toContain('hello from');
    expect(out).toContain('event: end');
    expect(out).toMatch(/succeeded/);
    expect(out).toMatch(/H100/);
  });
});
