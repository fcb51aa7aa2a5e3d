import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { BatchResultLine, JobEventView, JobView } from '#contracts';
import { Caller, chat, embedding, toJsonLines, type Body } from './caller.js';
import { Stack, type Tenant } from './stack.js';

const MODEL = 'universal-sentence-encoder';
/** Three topics; each text is one of them with its own number, so that neighbours are known. */
const TOPICS = [
  'how do I reset my password',
  'the invoice for last month is wrong',
  'it will rain in the mountains tomorrow',
];
const LINES = Array.from({ length: 150 }, (_, i) => embedding(`text-${i}`, `${TOPICS[i % 3]} (${i})`));

/** Longer than any stall of the machine that runs this: only then may a safety net act, and the last test finds out that it did. */
const PATIENT_MS = 60_000;
const ENDS_MS = 2 * PATIENT_MS;

/** The main job as a tenant lives it, on a registered machine, with the queue on either backend. */
export function mainJobSuite(
  queue: string,
  queueUrl: () => Promise<{ redisUrl?: string; close(): Promise<void> }>,
): void {
  jest.setTimeout(5 * 60_000);
  describe(`the main job, the queue on ${queue}`, () => {
    let stack: Stack;
    let alpha: Tenant;
    let beta: Tenant;
    let closeQueue: () => Promise<void> = () => Promise.resolve();
    beforeAll(async () => {
      const { close, ...where } = await queueUrl();
      closeQueue = close;
      stack = await Stack.start({ ...where, patienceMs: PATIENT_MS, env: { BODY_LIMIT_BYTES: String(1 << 20) } });
      await stack.addHost('host', 2);
      [alpha, beta] = await Promise.all([stack.tenant('alpha', 20), stack.tenant('beta', 5)]);
    });
    afterAll(async () => {
      await stack?.close();
      await closeQueue();
    });

    const leases = async (): Promise<number> => (await stack.sql('select 1 from leases')).length;

    it('embeds a batch of each of two tenants; every custom_id comes back once, in order, and means something', async () => {
      const theirs = LINES.slice(0, 30);
      const [a, b] = await Promise.all([
        alpha.caller.batch(MODEL, LINES, { linesPerShard: 15 }),
        beta.caller.batch(MODEL, theirs, { linesPerShard: 15 }),
      ]);
      const [endA, endB] = await Promise.all([
        stack.ended(alpha.caller, a.id, ENDS_MS),
        stack.ended(beta.caller, b.id, ENDS_MS),
      ]);
      expect([endA.state, endA.progress.linesOk, endB.state, endB.progress.linesOk]).toEqual([
        'succeeded',
        150,
        'succeeded',
        30,
      ]);
      const results = await alpha.caller.results(a.id);
      expect(results.map((r) => r.custom_id)).toEqual(LINES.map((_, i) => `text-${i}`));
      expect((await beta.caller.results(b.id)).map((r) => r.custom_id)).toEqual(theirs.map((_, i) => `text-${i}`));
      const vectors = results.map(vectorOf);
      for (const v of vectors) expect([v.length, v.every(Number.isFinite)]).toEqual([512, true]);
      // The text of the same topic is nearer than those of the others.
      for (let i = 0; i < 9; i++) {
        const own = cosine(vectors[i], vectors[i + 3]);
        for (const other of [1, 2]) expect(own).toBeGreaterThan(cosine(vectors[i], vectors[i + other]));
      }
      expect(BigInt(endA.cost.charged)).toBeGreaterThan(0n);
      expect(BigInt(endA.cost.charged)).toBeLessThanOrEqual(BigInt(endA.cost.cap));
      // Each sees its own.
      for (const path of ['', '/results', '/history', '/logs', '/events']) {
        expect((await beta.caller.refusal(`GET /v1/jobs/${a.id}${path}`)).status).toBe(404);
      }
    });

    it('answers a chat batch', async () => {
      const job = await alpha.caller.batch(
        'tiny-llama-seeded',
        [0, 1, 2, 3].map((i) => chat(`chat-${i}`, `Say ${i}`)),
      );
      const end = await stack.ended(alpha.caller, job.id, ENDS_MS);
      expect([end.state, end.progress.linesOk]).toEqual(['succeeded', 4]);
      for (const { response, error } of await alpha.caller.results(job.id)) {
        expect(error).toBeNull();
        const body = response?.body as {
          choices: { message: { content: string } }[];
          usage: { completion_tokens: number };
        };
        expect(body.choices[0]?.message.content.length).toBeGreaterThan(0);
        expect(body.usage.completion_tokens).toBeGreaterThan(0);
      }
    });

    it('runs a command with environment and files, keeps its logs and output, and lets its exit code count', async () => {
      const artifactId = (await alpha.caller.upload('three\nlines\nhere\n', 'in.txt')) as never;
      const script = 'echo "hello $WHO"; echo trouble >&2; wc -l < data/in.txt > out/count.txt';
      const good = await alpha.caller.submit({
        spec: {
          kind: 'command',
          command: ['sh', '-c', `mkdir -p out; ${script}`],
          env: { WHO: 'world' },
          inputs: [{ path: 'data/in.txt', artifactId }],
          outputs: ['out/count.txt'],
        },
      });
      const bad = await alpha.caller.submit({
        spec: { kind: 'command', command: ['sh', '-c', 'echo no luck; exit 7'] },
      });
      const [goodEnd, badEnd] = await Promise.all([
        stack.ended(alpha.caller, good.id, ENDS_MS),
        stack.ended(alpha.caller, bad.id, ENDS_MS),
      ]);
      expect(goodEnd.state).toBe('succeeded');
      expect((await alpha.caller.get<string>(`GET /v1/jobs/${good.id}/outputs?path=out/count.txt`)).trim()).toBe('3');
      const { items } = await alpha.caller.get<{ items: { stream: string; text: string }[] }>(
        `GET /v1/jobs/${good.id}/logs`,
      );
      expect(items.map(({ stream, text }) => `${stream}: ${text}`)).toEqual(
        expect.arrayContaining(['stdout: hello world', 'stderr: trouble']),
      );
      expect([badEnd.state, badEnd.reason]).toEqual(['failed', expect.stringContaining('exit code 7')]);
    });

    it('cancels a job that runs: the machine goes, the rest of the money comes back', async () => {
      const job = await beta.caller.submit({
        spec: { kind: 'command', command: ['sh', '-c', 'echo begun; exec sleep 600'] },
      });
      await stack.until(
        'it has begun',
        async () => (await beta.caller.get<{ items: unknown[] }>(`GET /v1/jobs/${job.id}/logs`)).items.length > 0,
        ENDS_MS,
      );
      expect((await beta.caller.get<JobView>(`POST /v1/jobs/${job.id}/cancel`)).cancelRequested).toBe(true);
      const end = await stack.ended(beta.caller, job.id, ENDS_MS);
      expect([end.state, end.cost.held]).toEqual(['cancelled', '0']);
      await stack.quiet(ENDS_MS);
      expect(await beta.caller.get('GET /v1/ledger')).toMatchObject({ held: '0' });
      // An ended job stays as it is.
      expect((await beta.caller.get<JobView>(`POST /v1/jobs/${job.id}/cancel`)).state).toBe('cancelled');
    });

    it('shows a job as it happens, and goes on where a watcher was cut off', async () => {
      const job = await alpha.caller.batch(MODEL, LINES.slice(0, 60), { linesPerShard: 5 });
      const first = await alpha.caller.watch(job.id, null, (seen) => seen.filter((e) => e.event === 'job').length >= 2);
      const last = first.findLast((e) => e.id !== null)?.id ?? null;
      const rest = await alpha.caller.watch(job.id, last, () => false);
      const told = [...first, ...rest].filter((e) => e.event === 'job').map((e) => (e.data as JobEventView).to);
      expect(told).toEqual(['queued', 'starting', 'running', 'succeeded']);
      expect([...first, ...rest].some((e) => e.event === 'progress')).toBe(true);
      expect(rest.at(-1)).toMatchObject({ event: 'end', data: { state: 'succeeded', progress: { linesOk: 60 } } });
      const { items } = await alpha.caller.get<{ items: JobEventView[] }>(`GET /v1/jobs/${job.id}/history`);
      expect(items.map((e) => e.to)).toEqual(told);
    });

    it('refuses what the credit does not cover, says how much is missing, and rents nothing', async () => {
      const before = await leases();
      const { available } = await beta.caller.get<{ available: string }>('GET /v1/ledger');
      const inputArtifactId = (await beta.caller.upload(toJsonLines(LINES.slice(0, 3)))) as never;
      const problem = await beta.caller.refusal('POST /v1/jobs', {
        body: { spec: { kind: 'batch-inference', model: MODEL, inputArtifactId }, maxCost: '50000000000' },
      });
      expect(problem).toMatchObject({
        status: 402,
        facts: { missingNano: String(50_000_000_000n - BigInt(available)) },
      });
      expect(await leases()).toBe(before);
      expect(await beta.caller.get('GET /v1/ledger')).toMatchObject({ available, held: '0' });
    });

    it('names the line of a bad input', async () => {
      const good = LINES.slice(0, 20).map((l) => JSON.stringify(l));
      const withLine = (n: number, text: string): string =>
        [...good.slice(0, n - 1), text, ...good.slice(n)].join('\n');
      const on17 = (change: object): string => withLine(17, JSON.stringify({ ...LINES[16], ...change }));
      const body = { model: MODEL, input: 'x' };
      const cases: [string, string][] = [
        [withLine(17, '{"custom_id": "x", '), 'JSON'],
        [on17({ custom_id: 'text-3' }), 'line 4'],
        [on17({ body: { ...body, model: 'other' } }), 'other'],
        [on17({ body: { ...body, dimensions: -3 } }), 'dimensions'],
        [on17({ colour: 'red' }), 'colour'],
        [on17({ url: '/v1/images' }), 'url'],
        [on17({ custom_id: '' }), 'custom_id'],
      ];
      for (const [input, tells] of cases) {
        const inputArtifactId = await alpha.caller.upload(input);
        const problem = await alpha.caller.refusal('POST /v1/jobs', {
          body: { spec: { kind: 'batch-inference', model: MODEL, inputArtifactId } },
        });
        expect(problem).toMatchObject({ status: 400, field: 'line 17', detail: expect.stringContaining(tells) });
      }
    });

    it('names the field of a bad request', async () => {
      const inputArtifactId = await alpha.caller.upload(toJsonLines(LINES.slice(0, 2)));
      const spec = { kind: 'batch-inference', model: MODEL, inputArtifactId };
      const ofBeta = await beta.caller.upload(toJsonLines(LINES.slice(0, 2)));
      const cases: [Body | string, number, string][] = [
        [{ spec: { ...spec, linesPerShard: -1 } }, 400, 'spec.linesPerShard'],
        [{ spec, workload: { gpus: -2 } }, 400, 'workload'],
        [{ spec, colour: 'red' }, 400, 'colour'],
        [{ spec: { ...spec, model: 'no-such-model' } }, 400, 'model'],
        [{ spec: { ...spec, kind: 'training' } }, 400, 'spec.kind'],
        [{ spec, maxCost: '1.50' }, 400, 'maxCost'],
        [{ spec: { ...spec, inputArtifactId: ofBeta } }, 400, 'inputArtifactId'],
        [{ spec: { kind: 'command', command: [] } }, 400, 'spec.command'],
        ['{"spec": ', 400, ''],
      ];
      const before = await leases();
      for (const [body, status, field] of cases) {
        const problem = await alpha.caller.refusal('POST /v1/jobs', {
          body,
          headers: { 'content-type': 'application/json' },
        });
        expect([problem.status, JSON.stringify(problem)]).toEqual([status, expect.stringContaining(field)]);
        expect(problem.detail.length).toBeGreaterThan(10);
      }
      expect((await alpha.caller.refusal('POST /v1/jobs', { body: { spec, name: 'x'.repeat(2 << 20) } })).status).toBe(
        413,
      );
      const stranger = new Caller(stack.url, 'not-a-key');
      expect((await stranger.refusal('POST /v1/jobs', { body: { spec } })).status).toBe(401);
      expect(await leases()).toBe(before);
    });

    it('makes one job of a request that is sent twice with one Idempotency-Key', async () => {
      const inputArtifactId = (await alpha.caller.upload(toJsonLines(LINES.slice(0, 5)))) as never;
      const headers = { 'idempotency-key': 'once-and-only-once' };
      const job = { spec: { kind: 'batch-inference', model: MODEL, inputArtifactId } } as const;
      const first = await alpha.caller.submit(job, headers);
      const again = await alpha.caller.submit(job, headers);
      expect(again.id).toBe(first.id);
      expect((await alpha.caller.refusal('POST /v1/jobs', { body: { ...job, name: 'another' }, headers })).status).toBe(
        422,
      );
      expect((await stack.ended(alpha.caller, first.id, ENDS_MS)).state).toBe('succeeded');
    });

    it('adds up: jobs, usage, ledger and invoice tell the same sum', async () => {
      await stack.quiet(ENDS_MS);
      for (const [{ caller, organizationId }, granted] of [
        [alpha, 20n],
        [beta, 5n],
      ] as const) {
        const { items: jobs } = await caller.get<{ items: JobView[] }>('GET /v1/jobs?limit=100');
        const charged = jobs.reduce((a, j) => a + BigInt(j.cost.charged), 0n);
        expect(charged).toBeGreaterThan(0n);
        const usage = await caller.get<{ amount: string }>('GET /v1/usage?by=job');
        expect(usage.amount).toBe(String(charged));
        const balance = String(granted * 1_000_000_000n - charged);
        expect(await caller.get('GET /v1/ledger')).toEqual({ organizationId, balance, available: balance, held: '0' });
        const { items: changes } = await caller.get<{ items: { amount: string }[] }>(
          'GET /v1/ledger/transactions?limit=200',
        );
        expect(String(changes.reduce((a, t) => a + BigInt(t.amount), 0n))).toBe(balance);
        const { items: invoices } = await caller.get<{ items: { id: string }[] }>('GET /v1/invoices');
        const invoice = await caller.get<{
          usage: string;
          totalCents: string;
          lines: { amount: string; cents: string }[];
        }>(`GET /v1/invoices/${invoices[0]?.id}`);
        expect(invoice.usage).toBe(String(charged));
        expect(String(invoice.lines.reduce((a, l) => a + BigInt(l.amount), 0n))).toBe(invoice.usage);
        expect(String(invoice.lines.reduce((a, l) => a + BigInt(l.cents), 0n))).toBe(invoice.totalCents);
      }
    });

    it('had nothing to complain about, and no safety net had to act', () => {
      expect(stack.complaints().map(({ name, msg }) => `${name}: ${msg}`)).toEqual([]);
      expect(stack.workers.flatMap((w) => w.stderr.filter((line) => !line.startsWith('{')))).toEqual([]);
    });
  });
}

function vectorOf({ response }: BatchResultLine): number[] {
  return (response?.body as { data: { embedding: number[] }[] }).data[0]?.embedding ?? [];
}

function cosine(a: readonly number[] = [], b: readonly number[] = []): number {
  const dot = (x: readonly number[], y: readonly number[]): number => x.reduce((sum, v, i) => sum + v * (y[i] ?? 0), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}
