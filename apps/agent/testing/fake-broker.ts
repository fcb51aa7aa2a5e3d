import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  enrolRequestSchema,
  syncRequestSchema,
  type LogLine,
  type SyncRequest,
  type WorkItem,
  type WorkReport,
} from '#contracts';

interface Upload {
  readonly text: string;
  readonly sha256: string;
}

/** A broker on 127.0.0.1 that keeps the protocol and nothing else; what happened stands in its fields. */
export class FakeBroker {
  readonly tokens = new Set<string>();
  readonly credentials = new Set<string>();
  readonly inputs = new Map<string, string>();
  /** Every accepted result, in order of arrival, by `workId/fence`. */
  readonly results = new Map<string, Upload[]>();
  readonly outputs = new Map<string, string>();
  /** Final reports as they came, repetitions included. */
  readonly finals: WorkReport[] = [];
  readonly logs = new Map<string, LogLine>();
  readonly syncs: SyncRequest[] = [];
  /** Answers of requests that are kept back: `(path) => true` drops the connection after the request was carried out. */
  loseAnswer: (path: string) => boolean = () => false;
  goodbye = false;
  private readonly work = new Map<string, WorkItem>();
  private lastSeq = -1;
  private readonly bells = new Set<() => void>();
  private readonly watchers = new Set<() => void>();
  private port = 0;

  private constructor(private server: Server) {}

  static async start(): Promise<FakeBroker> {
    const broker = new FakeBroker(createServer());
    await broker.up();
    return broker;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async up(): Promise<void> {
    this.server = createServer((request, response) => {
      this.handle(request, response).catch(() => response.destroy());
    });
    await new Promise<void>((resolve) => this.server.listen(this.port, '127.0.0.1', resolve));
    this.port = (this.server.address() as AddressInfo).port;
  }

  /** Gone as after a crash: no listening port, all connections cut. */
  async down(): Promise<void> {
    const closed = new Promise<void>((resolve) => void this.server.close(() => resolve()));
    this.server.closeAllConnections();
    this.ring();
    await closed;
  }

  assign(item: WorkItem): void {
    this.work.set(item.workId, item);
    this.ring();
  }

  /** The fence rises without any poll hearing of it. */
  replaceUnheard(item: WorkItem): void {
    this.work.set(item.workId, item);
  }

  withdraw(workId: string): void {
    this.work.delete(workId);
    this.ring();
  }

  say(change: () => void): void {
    change();
    this.ring();
  }

  /** Resolves once `condition` holds; it is asked again after every request. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => void this.watchers.add(resolve));
  }

  finalsOf(workId: string): WorkReport[] {
    return this.finals.filter((report) => report.workId === workId);
  }

  resultLines(workId: string, fence = 1): { custom_id: string }[] {
    const upload = this.results.get(`${workId}/${fence}`)?.at(-1);
    return (upload?.text.trim().split('\n') ?? []).map((line) => JSON.parse(line) as { custom_id: string });
  }

  logText(workId: string): string[] {
    return [...this.logs.values()]
      .filter((line) => line.workId === workId)
      .sort((a, b) => a.n - b.n)
      .map((line) => `${line.stream}: ${line.text}`);
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.url);
    const body = await readAll(request);
    const reply = (status: number, value?: unknown): void => {
      if (this.loseAnswer(url.pathname)) response.destroy();
      else
        response
          .writeHead(status, { 'content-type': 'application/json' })
          .end(value === undefined ? '' : JSON.stringify(value));
      this.notify();
    };
    if (url.pathname === '/agent/v1/enroll') return this.enrol(body, reply);
    const credential = (request.headers.authorization ?? '').replace(/^Bearer /, '');
    if (!this.credentials.has(credential)) return reply(401, { code: 'unauthenticated' });
    if (url.pathname === '/agent/v1/sync') return await this.sync(body, reply, response);
    if (request.method === 'GET') {
      const input = this.inputs.get(url.pathname);
      return input === undefined ? reply(404, { code: 'not-found' }) : void response.writeHead(200).end(input);
    }
    const [, kind = '', workId = '', fence = ''] =
      /^\/agent\/v1\/(results|outputs)\/([^/]+)\/(\d+)$/.exec(url.pathname) ?? [];
    if (this.work.get(workId)?.fence !== Number(fence)) return reply(409, { code: 'old-fence' });
    if (kind === 'outputs') this.outputs.set(`${workId}/${url.searchParams.get('path')}`, body.toString('utf8'));
    else {
      const upload = { text: body.toString('utf8'), sha256: createHash('sha256').update(body).digest('hex') };
      const key = `${workId}/${fence}`;
      this.results.set(key, [...(this.results.get(key) ?? []), upload]);
    }
    reply(204);
  }

  private enrol(body: Buffer, reply: (status: number, value?: unknown) => void): void {
    const { token } = enrolRequestSchema.parse(JSON.parse(body.toString('utf8')));
    if (!this.tokens.delete(token)) return reply(401, { code: 'enrolment-refused', detail: 'Unknown or used.' });
    const credential = `cred-${token}`;
    this.credentials.add(credential);
    reply(200, { agentId: 'agt_1', credential, pollMs: 20_000 });
  }

  private async sync(
    body: Buffer,
    reply: (status: number, value?: unknown) => void,
    response: ServerResponse,
  ): Promise<void> {
    const request = syncRequestSchema.parse(JSON.parse(body.toString('utf8')));
    if (request.seq <= this.lastSeq) return reply(409, { code: 'stale-sequence' });
    this.lastSeq = request.seq;
    this.syncs.push(request);
    for (const line of request.logs) this.logs.set(`${line.workId}/${line.fence}/${line.n}`, line);
    const final = request.reports.filter((report) => report.state !== 'running');
    this.finals.push(...final);
    for (const report of final) {
      if (this.work.get(report.workId)?.fence === report.fence) this.work.delete(report.workId);
    }
    this.notify();
    const known = JSON.stringify(request.knownWork.map(({ workId, fence }) => `${workId}/${fence}`).sort());
    const same = (): boolean =>
      known === JSON.stringify([...this.work.values()].map(({ workId, fence }) => `${workId}/${fence}`).sort());
    if (same() && final.length === 0 && !this.goodbye && request.waitMs > 0) {
      await new Promise<void>((resolve) => {
        this.bells.add(resolve);
        response.once('close', resolve);
      });
    }
    const acknowledged = final.map(({ workId, fence }) => ({ workId, fence }));
    reply(200, { work: [...this.work.values()], acknowledged, goodbye: this.goodbye });
  }

  private ring(): void {
    for (const bell of this.bells) bell();
    this.bells.clear();
  }

  private notify(): void {
    const watchers = [...this.watchers];
    this.watchers.clear();
    for (const watcher of watchers) watcher();
  }
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
