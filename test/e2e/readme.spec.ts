import { afterAll, describe, expect, it } from '@jest/globals';
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeEmbedded } from '#platform/embedded';

const root = join(import.meta.dirname, '../..');
const MINUTES = 60_000;
const MARK = '@@line';

/** The commands of "Your first job" in the order of the page. */
function firstJob(): string[] {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const blocks = [...readme.matchAll(/<!-- test: first job -->\s*```sh\n([\s\S]*?)```/g)];
  return blocks.flatMap(([, code = '']) => code.split('\n').filter((line) => line.trim() !== ''));
}

interface Ran {
  readonly line: string;
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the lines one after another in one shell, as a reader would type them; every exit code counts, also inside pipes. */
async function type(lines: readonly string[], env: NodeJS.ProcessEnv, cwd: string): Promise<Ran[]> {
  const script = lines
    .map((line) => `${line}\n{ code=$?; echo; echo "${MARK} $code"; echo "${MARK}" >&2; }\n`)
    .join('');
  const shell = spawn('bash', ['-o', 'pipefail', '-s'], { cwd, env, stdio: ['pipe', 'pipe', 'pipe'] });
  const said = { stdout: '', stderr: '' };
  shell.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
  shell.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));
  shell.stdin.end(script);
  await new Promise((resolve) => shell.once('close', resolve));
  const parts = said.stdout.split(/\n@@line (\d+)\n/);
  const errors = said.stderr.split(`${MARK}\n`);
  return lines.map((line, i) => ({
    line,
    code: Number(parts[2 * i + 1] ?? Number.NaN),
    stdout: (parts[2 * i] ?? '').trim(),
    stderr: (errors[i] ?? '').trim(),
  }));
}

async function unusedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('README.md, "Your first job"', () => {
  const home = mkdtempSync(join(tmpdir(), 'berth-readme-'));
  let env: NodeJS.ProcessEnv = {};
  afterAll(async () => {
    // Also when a line failed before the last one, which stops the broker. The home's name keeps this to our own broker.
    await new Promise((resolve) =>
      execFile(process.execPath, [join(root, 'bin', 'berth'), 'down'], { cwd: root, env }, resolve),
    );
    // Run by root, the data lies outside of the home.
    await removeEmbedded({ home: join(home, 'berth') });
    rmSync(home, { recursive: true, force: true });
  });

  it(
    'runs line by line against a broker of its own',
    async () => {
      env = {
        PATH: process.env['PATH'],
        HOME: home,
        BERTH_HOME: join(home, 'berth'),
        BERTH_CLI_CONFIG: join(home, 'config'),
        PORT: String(await unusedPort()),
      };
      const lines = firstJob();
      expect(lines.length).toBeGreaterThan(15);
      const ran = await type(lines, env, root);
      expect(ran.filter((r) => r.code !== 0)).toEqual([]);

      const outputOf = (start: string): string => ran.find((r) => r.line.startsWith(start))?.stdout ?? '';
      expect(outputOf('berth offers').split('\n')).toHaveLength(6);
      expect(outputOf('berth jobs submit')).toMatch(/state\tsucceeded[\s\S]*lines\t20 done, 0 failed, of 20/);
      expect(outputOf('berth usage')).toMatch(/lease-time/);
      expect(outputOf('curl -sSfN')).toMatch(/event: end\ndata: .*"state":"succeeded"/);
      const results = ran.find((r) => r.line.includes('/results'))?.stdout ?? '';
      expect(results.split('\n')).toHaveLength(20);
      expect(results).toMatch(/^\{"id":"[^"]+","custom_id":"text-0001","response":\{"status_code":200/);
      expect(outputOf('berth jobs logs')).toContain('hello from');
      expect(ran.at(-1)?.stderr).toMatch(/^Stopped: .*PostgreSQL/);
    },
    5 * MINUTES,
  );
});
