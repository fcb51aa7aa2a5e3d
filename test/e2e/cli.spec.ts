import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeBroker, paged, problem, type Asked } from './fake-broker.js';

const root = join(import.meta.dirname, '../..');
const home = mkdtempSync(join(tmpdir(), 'berth-cli-'));
const ID = '01j00000000000000000000000';
const JOB = `job_${ID}`;
const ESC = '\u001b[31m';
let broker: FakeBroker;

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface How {
  readonly stdin?: string;
  readonly env?: Record<string, string>;
  readonly onStart?: (kill: (signal: NodeJS.Signals) => void) => void;
  /** Called with all of standard error so far. */
  readonly onStderr?: (text: string, kill: (signal: NodeJS.Signals) => void) => void;
}

/** Runs the built command as a program would: nothing is a terminal. */
function berth(args: readonly string[], { stdin = '', env, onStart, onStderr }: How = {}): Promise<Ran> {
  const child = spawn(process.execPath, [join(root, 'bin', 'berth'), ...args], {
    cwd: home,
    env: {
      PATH: process.env['PATH'],
      HOME: home,
      BERTH_HOME: join(home, 'berth'),
      BERTH_CLI_CONFIG: join(home, 'config'),
      ...(env ?? { BERTH_CLI_URL: broker.url, BERTH_CLI_KEY: 'the-key' }),
    },
  });
  onStart?.((signal) => child.kill(signal));
  const said = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.stderr += text;
    onStderr?.(said.stderr, (signal) => child.kill(signal));
  });
  // A command that does not read its input may be gone first.
  child.stdin.on('error', () => undefined).end(stdin);
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, ...said })));
}

const asked = (method: string, path: string): Asked[] =>
  broker.asked.filter((a) => a.method === method && a.path === path);

function job(change: object = {}): Record<string, unknown> {
  return {
    id: JOB,
    name: 'texts',
    state: 'queued',
    reason: null,
    createdAt: '2026-11-20T10:00:00.000Z',
    progress: { shardsTotal: 2, shardsDone: 0, linesTotal: 4, linesOk: 0, linesFailed: 0 },
    cost: { held: '2000000000', charged: '0', running: '0', cap: '2000000000' },
    ...change,
  };
}

const sse = (event: string, data: unknown, id?: string): string =>
  `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

function stream(response: ServerResponse, text: string): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(text);
}

beforeAll(async () => {
  broker = await FakeBroker.open();
});
beforeEach(() => broker.reset());
afterAll(async () => {
  await broker.close();
  rmSync(home, { recursive: true, force: true });
});

describe('berth login', () => {
  const me = { keyId: 'key_1', organizationId: 'org_1', organizationKind: 'tenant', role: 'admin', projectIds: null };

  it('keeps a key from standard input for its owner only, uses it, forgets it', async () => {
    broker.on('GET /v1/me', me);
    const none = {};
    expect(
      (await berth(['login', '--url', broker.url, '--key-stdin'], { stdin: 'from-stdin\n', env: none })).code,
    ).toBe(0);
    expect(statSync(join(home, 'config', 'logins.json')).mode & 0o777).toBe(0o600);
    expect((await berth(['whoami'], { env: none })).stdout).toContain('role\tadmin\n');
    expect(broker.asked.map((a) => a.headers.authorization)).toEqual(['Bearer from-stdin', 'Bearer from-stdin']);

    // The key was saved for another broker than the one that the variable names.
    const other = await berth(['whoami'], { env: { BERTH_CLI_URL: 'http://127.0.0.1:9' } });
    expect([other.code, other.stderr]).toEqual([3, expect.stringContaining('Set BERTH_CLI_KEY as well')]);

    expect((await berth(['logout'], { env: none })).stderr).toBe('Forgotten.\n');
    const after = await berth(['whoami'], { env: none });
    expect([after.code, after.stderr]).toEqual([3, expect.stringContaining('berth login --url URL --key-stdin')]);
  });

  it('saves no key that the broker refuses', async () => {
    broker.on('GET /v1/me', problem(401, 'unauthenticated'));
    expect((await berth(['login', '--url', broker.url, '--key', 'wrong'], { env: {} })).code).toBe(3);
    expect(existsSync(join(home, 'config', 'logins.json'))).toBe(false);
  });

  it('prints variables that a shell reads back, whatever is in them', async () => {
    const env = { BERTH_CLI_URL: "http://x/'$(id)", BERTH_CLI_KEY: 'k' };
    expect((await berth(['env'], { env })).stdout).toBe(
      "export BERTH_CLI_URL='http://x/'\\''$(id)' BERTH_CLI_KEY='k'\n",
    );
  });
});

describe('berth usage send', () => {
  const receipt = (results: object[]) => {
    const of = (outcome: string) => results.filter((r) => 'outcome' in r && r.outcome === outcome).length;
    return {
      accepted: of('accepted'),
      unattributed: 0,
      duplicates: of('duplicate'),
      rejected: of('rejected'),
      results,
    };
  };
  const lines = (n: number): string => Array.from({ length: n }, (_, i) => `{"id":"e${i}"}\n\n`).join('');

  it('sends lines in batches, each again until it is answered', async () => {
    let asked = 0;
    broker.on('POST /v1/usage/events', ({ body }: Asked) => {
      asked += 1;
      if (asked === 1) return problem(503, 'database-unavailable');
      return receipt((JSON.parse(body) as object[]).map(() => ({ outcome: 'accepted', attributed: true })));
    });
    const ran = await berth(['usage', 'send', '-', '--json'], { stdin: lines(1_200) });
    expect([ran.code, JSON.parse(ran.stdout)]).toEqual([
      0,
      { accepted: 1_200, unattributed: 0, duplicates: 0, rejected: 0, rejections: [] },
    ]);
    const sizes = asked === 4 ? broker.asked.map((a) => (JSON.parse(a.body) as object[]).length).sort() : [];
    expect(sizes).toEqual([200, 500, 500, 500].sort());
  });

  it('names the lines that were rejected', async () => {
    broker.on('POST /v1/usage/events', () =>
      receipt([
        { outcome: 'duplicate' },
        { outcome: 'rejected', code: 'too-old', field: '[1].time', reason: 'is more than 35 days ago' },
      ]),
    );
    const ran = await berth(['usage', 'send', '-'], { stdin: lines(2) });
    expect([ran.code, ran.stdout]).toEqual([1, 'accepted\t0\nduplicates\t1\nrejected\t1\n']);
    expect(ran.stderr).toContain('line 3: time is more than 35 days ago');
    const wrong = await berth(['usage', 'send', '-'], { stdin: '{"id":1}\n{' });
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('-, line 2 is not JSON')]);
  });
});

describe('what is printed', () => {
  it('is TSV for programs, without what a terminal would obey', async () => {
    broker.on('GET /v1/jobs', paged([job({ name: `${ESC}red\nline\u009b2J`, state: 'running' })]));
    const { stdout } = await berth(['jobs', 'ls']);
    expect(stdout.split('\n')).toEqual([
      'id\tname\tstate\tdone\tcharged\tcreated',
      expect.stringMatching(new RegExp(`^${JOB}\t\\[31mred line2J\trunning\t0/4\t\\$0\\.00\t.* ago$`)),
      '',
    ]);
  });

  it('is the exact value of the API with --json, wherever the flag stands, and still harmless', async () => {
    const rows = [job({ name: `${ESC}\u009b2J\u202e` })];
    broker.on('GET /v1/jobs', paged(rows));
    for (const args of [
      ['--json', 'jobs', 'ls'],
      ['jobs', 'ls', '--json'],
    ]) {
      const { stdout } = await berth(args);
      expect(JSON.parse(stdout)).toEqual(rows);
      expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    }
  });

  it('follows the pages to the number of rows that is wanted', async () => {
    const rows = Array.from({ length: 450 }, (_, i) => job({ name: `n${i}` }));
    broker.on('GET /v1/jobs', paged(rows));
    expect(JSON.parse((await berth(['jobs', 'ls', '--all', '--json'])).stdout)).toEqual(rows);
    expect(asked('GET', '/v1/jobs').map((a) => a.query.get('cursor'))).toEqual([null, '200', '400']);
    expect(JSON.parse((await berth(['jobs', 'ls', '--limit', '201', '--json'])).stdout)).toEqual(rows.slice(0, 201));
  });

  it('asks for offers in the units of the API', async () => {
    broker.on('GET /v1/offers', paged([]));
    await berth([
      'offers',
      '--gpu',
      'H100',
      '--count',
      '8',
      '--max-price',
      '3.50',
      '--rentable',
      '--sort',
      'gpu-price',
    ]);
    expect(Object.fromEntries(asked('GET', '/v1/offers')[0]?.query ?? [])).toEqual({
      gpu: 'H100',
      count: '8',
      maxPricePerHour: '3500000000',
      status: 'rentable',
      sort: 'gpu-price',
      limit: '20',
    });
  });
});

describe('an error', () => {
  it('says a single wrong field once, and several each', async () => {
    const one = { field: 'country', message: 'must be a code' };
    broker.on(
      'GET /v1/offers',
      problem(400, 'invalid-query', { detail: '"country": must be a code.', problems: [one] }),
    );
    expect((await berth(['offers'])).stderr.split('\n').slice(0, 2)).toEqual([
      'berth: "country": must be a code.',
      '  Correct it; --help tells what there is.',
    ]);
    broker.on(
      'GET /v1/offers',
      problem(400, 'invalid-query', { problems: [one, { field: 'gpu', message: 'is odd' }] }),
    );
    expect((await berth(['offers'])).stderr).toContain('\n  country: must be a code\n  gpu: is odd\n');
  });

  it('of a key that is not known says how to log in', async () => {
    broker.on('GET /v1/me', problem(401, 'invalid-key'));
    expect((await berth(['whoami'])).stderr).toContain('berth login --url URL --key-stdin');
  });
});

describe('exit codes', () => {
  it.each([
    [400, 'invalid', 2],
    [401, 'unauthenticated', 3],
    [402, 'over-credit', 3],
    [403, 'forbidden', 3],
    [404, 'not-found', 4],
    [409, 'conflict', 5],
    [422, 'nothing-fits', 6],
    [422, 'idempotency-key-reused', 5],
    [429, 'rate-limited', 7],
    [500, 'internal', 7],
    [503, 'unavailable', 7],
  ])('of a %i %s is %i, and the error says what, what to do and which request', async (status, code, exit) => {
    broker.on(`GET /v1/jobs/${JOB}`, problem(status, code, { detail: `${ESC}what` }));
    const told = await berth(['jobs', 'get', JOB]);
    expect(told).toEqual({
      code: exit,
      stdout: '',
      stderr: `berth: [31mwhat\n  Mend ${code}.\n  request req_of_the_fake\n`,
    });
  });

  it('are the same with --json, and the error is one problem document', async () => {
    broker.on(`GET /v1/jobs/${JOB}`, problem(409, 'conflict'));
    const refused = await berth(['jobs', 'get', JOB, '--json']);
    expect([refused.code, JSON.parse(refused.stderr)]).toEqual([
      5,
      expect.objectContaining({ status: 409, code: 'conflict', fix: 'Mend conflict.', requestId: 'req_of_the_fake' }),
    ]);
    const wrong = await berth(['jbos', '--json']);
    expect([wrong.code, JSON.parse(wrong.stderr)]).toEqual([
      2,
      { type: 'about:blank', code: 'usage', detail: "unknown command 'jbos'", fix: '(Did you mean jobs?)' },
    ]);
  });

  it('is 7 when no broker answers', async () => {
    const env = { BERTH_CLI_URL: 'http://127.0.0.1:9', BERTH_CLI_KEY: 'k' };
    for (const args of [['offers'], ['jobs', 'watch', JOB], ['jobs', 'results', JOB]]) {
      const { code, stderr } = await berth(args, { env });
      expect([code, stderr]).toEqual([7, expect.stringContaining('No broker answers at http://127.0.0.1:9')]);
    }
  });

  it('is 2 for a line that is wrong, and nothing is asked', async () => {
    for (const args of [[], ['jobs'], ['jobs', 'get', `lease_${ID}`], ['placement', 'preview', '--file', 'none.json']])
      expect((await berth(args)).code).toBe(2);
    expect(broker.asked).toEqual([]);
    expect((await berth(['--help'])).code).toBe(0);
  });

  it('is 6 for a preview that nothing fits, with the counts and hints', async () => {
    broker.on('POST /v1/placements/preview', {
      id: `pl_${ID}`,
      considered: 3,
      fitting: 0,
      candidates: [],
      rejections: { vram: 2, region: 1 },
      hints: ['Ask for 40 GiB.'],
    });
    const { code, stderr } = await berth(['placement', 'preview', '--gpu', 'A100', '--hours', '2', '--max-total', '9']);
    expect([code, stderr]).toEqual([6, 'berth: none of 3 offers fits.\n  Ask for 40 GiB.\n']);
    expect(JSON.parse(asked('POST', '/v1/placements/preview')[0]?.body ?? '')).toEqual({
      workload: {
        accelerator: { count: 1, models: ['A100'] },
        work: { kind: 'wall-hours', hours: 2 },
        constraints: { maxTotal: '9000000000' },
      },
      scope: 'market',
      limit: 5,
    });
  });
});

describe('berth jobs submit-many', () => {
  const file = join(home, 'jobs.jsonl');
  const one = { spec: { kind: 'command', command: ['true'] } };

  it('submits every line of a file together, and shows the jobs', async () => {
    writeFileSync(file, `${JSON.stringify(one)}\n\n${JSON.stringify({ ...one, maxCost: '7' })}\n`);
    broker.on('POST /v1/jobs/bulk', { items: [job(), job()] });
    const args = ['jobs', 'submit-many', file, '--max-cost', '0.50', '--project', `prj_${ID}`];
    const { code, stdout } = await berth([...args, '--idempotency-key', 'nightly']);
    expect([code, stdout.match(new RegExp(JOB, 'g'))]).toEqual([0, [JOB, JOB]]);
    const [sent] = asked('POST', '/v1/jobs/bulk');
    expect(JSON.parse(sent?.body ?? '')).toEqual({
      projectId: `prj_${ID}`,
      jobs: [
        { ...one, maxCost: '500000000' },
        { ...one, maxCost: '7' },
      ],
    });
    expect(sent?.headers['idempotency-key']).toBe('nightly');
    const { stdout: json } = await berth([...args, '--json']);
    expect(JSON.parse(json)).toMatchObject([{ id: JOB }, { id: JOB }]);
  });

  it.each([
    ['{"a":1}\n[1]\n', 'line 2 is not a JSON object'],
    ['{"a":1\n', 'line 1 is not a JSON object'],
    ['\n', 'there is no job in it'],
  ])('asks for nothing when a line is wrong', async (text, message) => {
    writeFileSync(file, text);
    const before = asked('POST', '/v1/jobs/bulk').length;
    const { code, stderr } = await berth(['jobs', 'submit-many', file]);
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
    expect(asked('POST', '/v1/jobs/bulk')).toHaveLength(before);
  });
});

describe('berth jobs submit', () => {
  const input = join(home, 'in.jsonl');
  const submitted = (): unknown => JSON.parse(asked('POST', '/v1/jobs').at(-1)?.body ?? 'null');
  const keys = (path: string): unknown[] => asked('POST', path).map((a) => a.headers['idempotency-key']);

  beforeEach(() => {
    writeFileSync(input, '{"a":1}\n');
    broker.on('POST /v1/artifacts', { id: `art_${ID}` });
    broker.on('POST /v1/jobs', job());
  });

  it('uploads the lines, then submits them under a key of its own', async () => {
    const args = ['jobs', 'submit', '--model', 'm', '--input', input, '--max-cost', '2.00', '--timeout', '1h'];
    expect((await berth(args)).stdout).toContain(`id\t${JOB}\nstate\tqueued\n`);
    await berth(args);
    const [upload] = asked('POST', '/v1/artifacts');
    expect([upload?.body, upload?.query.get('name'), upload?.headers['content-type']]).toEqual([
      '{"a":1}\n',
      'in.jsonl',
      'application/x-ndjson',
    ]);
    expect(submitted()).toEqual({
      spec: { kind: 'batch-inference', model: 'm', inputArtifactId: `art_${ID}` },
      maxCost: '2000000000',
      timeoutS: 3600,
    });
    expect(new Set(keys('/v1/jobs')).size).toBe(2);
    expect(keys('/v1/jobs')).not.toContain(undefined);
  });

  it('sends the given key, and with the same content the same upload, with other content another', async () => {
    const args = ['jobs', 'submit', '--model', 'm', '--input', input, '--idempotency-key', 'nightly'];
    await berth(args);
    await berth(args);
    writeFileSync(input, '{"a":2}\n');
    await berth(args);
    expect(keys('/v1/jobs')).toEqual(['nightly', 'nightly', 'nightly']);
    const [first, second, third] = keys('/v1/artifacts');
    expect(first).toEqual(expect.any(String));
    expect(second).toBe(first);
    expect(third).not.toBe(first);
  });

  it('says how to repeat it when the answer is lost', async () => {
    broker.on('POST /v1/jobs', (_: Asked, response: ServerResponse) => void response.destroy());
    const { code, stderr } = await berth(['jobs', 'submit', '--model', 'm', '--input', input]);
    expect(code).toBe(7);
    expect(stderr).toContain(`--idempotency-key ${String(keys('/v1/jobs')[0])} submits it once`);
    const gone = await FakeBroker.open();
    await gone.close();
    const env = { BERTH_CLI_URL: gone.url, BERTH_CLI_KEY: 'k' };
    const never = await berth(['jobs', 'submit', '--command', '--', 'true'], { env });
    expect([never.code, never.stderr]).toEqual([7, expect.stringContaining('No broker answers')]);
  });

  it('reads standard input', async () => {
    expect((await berth(['jobs', 'submit', '--model', 'm', '--input', '-'], { stdin: 'lines\n' })).code).toBe(0);
    expect(asked('POST', '/v1/artifacts')[0]?.body).toBe('lines\n');
  });

  it('takes a command, its environment and files after --', async () => {
    const args = [
      'jobs',
      'submit',
      '--command',
      '--env',
      'A=b=c',
      '--in',
      `${input}:data/x`,
      '--out',
      'y',
      '--gpu',
      'H100',
    ];
    await berth([...args, '--', 'sh', '-c', 'echo --json']);
    expect(submitted()).toEqual({
      spec: {
        kind: 'command',
        command: ['sh', '-c', 'echo --json'],
        env: { A: 'b=c' },
        inputs: [{ path: 'data/x', artifactId: `art_${ID}` }],
        outputs: ['y'],
      },
      workload: { accelerator: { count: 1, models: ['H100'] } },
    });
  });

  it('submits nothing in a dry run, or when the input is missing', async () => {
    broker.on('POST /v1/jobs/preview', { lines: 4, shards: 2, workload: {}, cap: '1500000000' });
    const dry = await berth(['jobs', 'submit', '--model', 'm', '--input', input, '--dry-run']);
    expect(dry.stdout).toBe('lines\t4\nshards\t2\ncost cap\t$1.50\n');
    const none = await berth(['jobs', 'submit', '--model', 'm', '--input', 'none.jsonl']);
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining('none.jsonl cannot be read')]);
    expect(asked('POST', '/v1/jobs')).toEqual([]);
  });
});

describe('berth admin payouts reverse', () => {
  const path = `/v1/admin/payouts/po_${ID}/reverse`;
  const args = ['admin', 'payouts', 'reverse', `po_${ID}`, '--reason', 'a lease too many', '--amount', '5'];

  it('takes back under a key of its own or the given one, and says how to repeat it when the answer is lost', async () => {
    broker.on(`POST ${path}`, (_: Asked, response: ServerResponse) => void response.destroy());
    const { code, stderr } = await berth(args);
    await berth(args);
    await berth([...args, '--idempotency-key', 'wire-17']);
    const sent = asked('POST', path);
    const [first, second, given] = sent.map((a) => a.headers['idempotency-key']);
    expect([code, stderr]).toEqual([7, expect.stringContaining(`--idempotency-key ${first} takes it back once`)]);
    expect(first).toMatch(/^[0-9a-f-]{36}$/);
    expect(second).not.toBe(first);
    expect(given).toBe('wire-17');
    expect(JSON.parse(sent[0]?.body ?? '')).toEqual({ reason: 'a lease too many', amountCents: '500' });
  });
});

describe('berth jobs watch', () => {
  const path = `GET /v1/jobs/${JOB}/events`;

  it('goes on after a lost connection where it was, and ends as the job ended', async () => {
    broker.on(path, ({ headers }: Asked, response: ServerResponse) => {
      if (headers['last-event-id'] === undefined) {
        stream(response, `retry: 2000\n\n${sse('job', { message: `${ESC}machine ready\nforged` }, '7')}:\n\n`);
        response.write('event: progress\ndata: {"half', () => response.destroy());
      } else {
        stream(response, sse('job', { message: 'all shards done' }, '9'));
        response.end(sse('end', job({ state: 'succeeded' }), '9'));
      }
    });
    const { code, stdout, stderr } = await berth(['jobs', 'watch', JOB]);
    expect(stderr.split('\n')).toEqual([
      '[31mmachine ready forged',
      'The connection to the broker is lost; trying again. The job goes on.',
      'The broker answers again.',
      'all shards done',
      '',
    ]);
    expect(asked('GET', `/v1/jobs/${JOB}/events`).map((a) => a.headers['last-event-id'])).toEqual([undefined, '7']);
    expect([code, stdout]).toEqual([0, expect.stringContaining('state\tsucceeded\n')]);
  });

  it('is 1 for a job that failed, with its reason', async () => {
    broker.on(path, (_: Asked, response: ServerResponse) => {
      stream(response, '');
      response.end(sse('end', job({ state: 'failed', reason: 'no line was valid' })));
    });
    const { code, stdout, stderr } = await berth(['jobs', 'watch', JOB, '--quiet']);
    expect([code, stdout]).toEqual([1, expect.stringContaining('reason\tno line was valid\n')]);
    expect(stderr).toBe(`berth: the job ended as failed: no line was valid.\n  See: berth jobs logs ${JOB}\n`);
  });

  it('is 8 when the wait runs out; the job goes on', async () => {
    broker.on(path, (_: Asked, response: ServerResponse) => stream(response, sse('progress', job())));
    const { code, stderr } = await berth(['jobs', 'watch', JOB, '--wait', '0.2s']);
    expect([code, stderr]).toEqual([
      8,
      expect.stringContaining(`it goes on.\n  Follow it with: berth jobs watch ${JOB}`),
    ]);
    expect(broker.asked.filter((a) => a.method !== 'GET')).toEqual([]);
  });

  it('leaves the job alone on Ctrl-C and says how to follow it again', async () => {
    broker.on(path, (_: Asked, response: ServerResponse) => stream(response, sse('job', { message: 'begun' }, '1')));
    const { code, stderr } = await berth(['jobs', 'watch', JOB], {
      onStderr: (text, kill) => {
        if (text === 'begun\n') kill('SIGINT');
      },
    });
    expect([code, stderr]).toEqual([130, expect.stringContaining(`berth jobs watch ${JOB}`)]);
    expect(broker.asked.filter((a) => a.method !== 'GET')).toEqual([]);
  });

  it('takes `last` for the newest job, and is 4 when there is none', async () => {
    broker.on('GET /v1/jobs', paged([]));
    expect((await berth(['jobs', 'watch', 'last'])).code).toBe(4);
  });
});

describe('logs and results', () => {
  it('prints each log line once', async () => {
    const line = (n: number) => ({ at: '2026-11-20T10:00:00.000Z', stream: 'stdout', text: `${ESC}l${n}`, shard: 's' });
    broker.on(`GET /v1/jobs/${JOB}/logs`, paged(Array.from({ length: 401 }, (_, i) => line(i))));
    const { stdout } = await berth(['jobs', 'logs', JOB]);
    expect(stdout).toBe(Array.from({ length: 401 }, (_, i) => `[31ml${i}\n`).join(''));
  });

  it('gives results byte for byte to programs', async () => {
    const bytes = '{"x":"\u001b\u009b"}\n'.repeat(50_000);
    broker.on(`GET /v1/jobs/${JOB}/results`, (_: Asked, response: ServerResponse) => void response.end(bytes));
    expect((await berth(['jobs', 'results', JOB])).stdout).toBe(bytes);
    await berth(['jobs', 'results', JOB, '--output', join(home, 'r.jsonl')]);
    expect(readFileSync(join(home, 'r.jsonl'), 'utf8')).toBe(bytes);
  });

  it('leaves no file behind that is not whole, and never takes the place of a link or device', async () => {
    broker.on(`GET /v1/jobs/${JOB}/results`, (_: Asked, response: ServerResponse) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{"half":', () => response.destroy());
    });
    const before = readdirSync(home);
    const { code, stderr } = await berth(['jobs', 'results', JOB, '--output', 'half.jsonl']);
    expect([code, stderr]).toEqual([7, expect.stringContaining('what came is not all')]);
    expect(readdirSync(home)).toEqual(before);

    broker.on(`GET /v1/jobs/${JOB}/results`, (_: Asked, response: ServerResponse) => {
      response.write('{"half":');
      // It has begun to write when the file is there.
      const look = setInterval(() => {
        if (!readdirSync(home).some((name) => name.endsWith('.part'))) return;
        clearInterval(look);
        kill?.('SIGINT');
      }, 1);
    });
    let kill: ((signal: NodeJS.Signals) => void) | undefined;
    const stopped = await berth(['jobs', 'results', JOB, '--output', 'half.jsonl'], { onStart: (k) => (kill = k) });
    expect([stopped.code, readdirSync(home)]).toEqual([130, before]);

    writeFileSync(join(home, 'kept.jsonl'), '');
    symlinkSync(join(home, 'kept.jsonl'), join(home, 'link'));
    broker.on(`GET /v1/jobs/${JOB}/results`, (_: Asked, response: ServerResponse) => void response.end('x'));
    await berth(['jobs', 'results', JOB, '--output', 'link']);
    expect(lstatSync(join(home, 'link')).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(home, 'kept.jsonl'), 'utf8')).toBe('x');
  });
});

describe('berth orgs create', () => {
  it('shows the key, which is shown once, also when the credit is refused', async () => {
    broker.on('POST /v1/organizations', {
      organization: { id: `org_${ID}` },
      project: { id: `prj_${ID}` },
      key: { secret: 'brt_secret' },
    });
    broker.on('POST /v1/admin/credit', problem(503, 'unavailable'));
    const { code, stdout, stderr } = await berth(['orgs', 'create', 'acme', '--credit', '25']);
    expect([code, stdout]).toEqual([7, expect.stringContaining('key\tbrt_secret\n')]);
    expect(stderr).toContain(`berth orgs credit org_${ID} 25`);
  });
});
