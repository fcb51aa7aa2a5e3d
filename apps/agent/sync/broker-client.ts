import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm, type FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import {
  enrolResponseSchema,
  syncResponseSchema,
  type HostFacts,
  type SyncRequestInput,
  type SyncResponse,
} from '#contracts';
import type { z } from 'zod';

/** What the broker's answer means for the agent. */
export type BrokerErrorKind =
  /** No answer, or one that a later try may better: wait and repeat. */
  | 'unreachable'
  /** 401: this credential is dead. */
  | 'credential-dead'
  /** 409 `stale-sequence`: somebody else syncs with this credential. */
  | 'stale-sequence'
  /** 409 on an input, result or output: the work is not this agent's (any more). */
  | 'stale-fence'
  /** Any other refusal: repeating the same request changes nothing. */
  | 'refused';

export class BrokerError extends Error {
  constructor(
    readonly kind: BrokerErrorKind,
    message: string,
    readonly status: number | null = null,
    readonly retryAfterMs: number | null = null,
    /** True when no connection came about: the broker cannot have seen the request. */
    readonly neverSent: boolean = false,
  ) {
    super(message);
    this.name = 'BrokerError';
  }
}

/** The part of the broker that runners see: bytes in, bytes out. */
export interface BrokerFiles {
  /** Saves what `path` (a path at the broker) holds; the file appears whole or not at all. */
  download(path: string, toFile: string, signal: AbortSignal): Promise<void>;
  uploadResult(work: { workId: string; fence: number }, fromFile: string, signal: AbortSignal): Promise<void>;
  uploadOutput(
    work: { workId: string; fence: number },
    path: string,
    from: FileHandle,
    signal: AbortSignal,
  ): Promise<void>;
}

export type Fetch = (url: string, init: RequestInit & { duplex?: 'half' }) => Promise<Response>;

/** Beyond the wait that was asked for: the broker's own time, and the network's. */
const ANSWER_GRACE_MS = 15_000;
/** Bytes that stop moving for so long will not move again. */
const STALLED_MS = 120_000;

/** HTTP towards one broker with one credential. Every failure is a `BrokerError`; an abort rejects with the signal's reason. */
export class BrokerClient implements BrokerFiles {
  private readonly base: string;

  constructor(
    brokerUrl: string,
    private readonly credential: string,
    private readonly fetch: Fetch = globalThis.fetch,
  ) {
    this.base = brokerUrl.replace(/\/+$/, '');
  }

  async sync(
    request: SyncRequestInput,
    signal: AbortSignal,
  ): Promise<{ answer: SyncResponse; brokerNowMs: number | null }> {
    const deadline = AbortSignal.timeout((request.waitMs ?? 0) + ANSWER_GRACE_MS);
    const response = await this.send('POST', '/agent/v1/sync', signal, deadline, {
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(request),
    });
    const brokerNowMs = Date.parse(response.headers.get('date') ?? '');
    return {
      answer: await readJson(response, syncResponseSchema),
      brokerNowMs: Number.isNaN(brokerNowMs) ? null : brokerNowMs,
    };
  }

  async download(path: string, toFile: string, signal: AbortSignal): Promise<void> {
    // The broker names paths of its own; a full URL here would carry the credential to another machine.
    if (!path.startsWith('/') || path.startsWith('//'))
      throw new BrokerError('refused', `"${path}" is not a path at the broker.`);
    const stalled = new StallTimer();
    const draft = `${toFile}.draft`;
    try {
      const response = await this.send('GET', path, signal, stalled.signal, {});
      const body = response.body ? Readable.fromWeb(response.body as ReadableStream) : Readable.from([]);
      body.on('data', () => stalled.moved());
      await pipeline(body, createWriteStream(draft, { mode: 0o600 }));
      await rename(draft, toFile);
    } catch (error) {
      await rm(draft, { force: true });
      signal.throwIfAborted();
      throw asTransferError(error);
    } finally {
      stalled.stop();
    }
  }

  async uploadResult(work: { workId: string; fence: number }, fromFile: string, signal: AbortSignal): Promise<void> {
    const path = `/agent/v1/results/${encodeURIComponent(work.workId)}/${work.fence}`;
    await this.upload(path, 'application/x-ndjson', createReadStream(fromFile), signal);
  }

  async uploadOutput(
    work: { workId: string; fence: number },
    path: string,
    from: FileHandle,
    signal: AbortSignal,
  ): Promise<void> {
    const to = `/agent/v1/outputs/${encodeURIComponent(work.workId)}/${work.fence}?path=${encodeURIComponent(path)}`;
    await this.upload(to, 'application/octet-stream', from.createReadStream({ start: 0, autoClose: false }), signal);
  }

  private async upload(path: string, contentType: string, from: Readable, signal: AbortSignal): Promise<void> {
    const stalled = new StallTimer();
    from.on('data', () => stalled.moved()).pause();
    try {
      const response = await this.send('PUT', path, signal, stalled.signal, {
        headers: { 'content-type': contentType },
        body: Readable.toWeb(from) as unknown as NonNullable<RequestInit['body']>,
        duplex: 'half',
      });
      await response.arrayBuffer();
    } catch (error) {
      if (error instanceof BrokerError && error.status === 409)
        throw new BrokerError('stale-fence', error.message, 409);
      throw error;
    } finally {
      stalled.stop();
      from.destroy();
    }
  }

  private async send(
    method: string,
    path: string,
    signal: AbortSignal,
    deadline: AbortSignal,
    init: RequestInit & { duplex?: 'half' },
  ): Promise<Response> {
    signal.throwIfAborted();
    let response: Response;
    try {
      response = await this.fetch(`${this.base}${path}`, {
        ...init,
        method,
        headers: { ...init.headers, authorization: `Bearer ${this.credential}` },
        redirect: 'error',
        signal: AbortSignal.any([signal, deadline]),
      });
    } catch (error) {
      signal.throwIfAborted();
      throw asBrokerError(error);
    }
    if (!response.ok) throw await refusal(response);
    return response;
  }
}

/**
 * Trades a one-time token for a credential. `unreachable` leaves open whether the token was used: the caller tries again, and a
 * refusal then tells.
 */
export async function enrol(
  brokerUrl: string,
  request: { token: string; facts: HostFacts },
  signal: AbortSignal,
  fetch: Fetch = globalThis.fetch,
): Promise<z.infer<typeof enrolResponseSchema>> {
  let response: Response;
  try {
    response = await fetch(`${brokerUrl.replace(/\/+$/, '')}/agent/v1/enroll`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(request),
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_GRACE_MS)]),
    });
  } catch (error) {
    signal.throwIfAborted();
    throw asBrokerError(error);
  }
  if (!response.ok) throw await refusal(response);
  return await readJson(response, enrolResponseSchema);
}

async function readJson<S extends z.ZodType>(response: Response, schema: S): Promise<z.infer<S>> {
  let body: unknown;
  try {
    body = await response.json();
  } catch (error) {
    throw asBrokerError(error);
  }
  const parsed = schema.safeParse(body);
  if (!parsed.success)
    throw new BrokerError('unreachable', `The broker's answer has an unknown form: ${parsed.error.message}`);
  return parsed.data;
}

async function refusal(response: Response): Promise<BrokerError> {
  const text = await response.text().catch(() => '');
  const problem = problemOf(text);
  const message = `The broker answered ${response.status}${problem.detail ? `: ${problem.detail}` : ''}.`;
  const retryAfterS = Number(response.headers.get('retry-after') ?? Number.NaN);
  const retryAfterMs = Number.isFinite(retryAfterS) ? retryAfterS * 1_000 : null;
  if (response.status === 401) return new BrokerError('credential-dead', message, 401);
  if (response.status === 409 && problem.code === 'stale-sequence')
    return new BrokerError('stale-sequence', message, 409);
  if (response.status >= 500 || response.status === 408 || response.status === 429) {
    return new BrokerError('unreachable', message, response.status, retryAfterMs);
  }
  return new BrokerError('refused', message, response.status);
}

function problemOf(text: string): { code: string; detail: string } {
  try {
    const body = JSON.parse(text) as { code?: unknown; detail?: unknown; title?: unknown } | null;
    const detail = typeof body?.detail === 'string' ? body.detail : body?.title;
    return { code: typeof body?.code === 'string' ? body.code : '', detail: typeof detail === 'string' ? detail : '' };
  } catch {
    return { code: '', detail: text.slice(0, 200) };
  }
}

function asBrokerError(error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  const cause = error instanceof Error ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
  const message = `${error instanceof Error ? error.message : String(error)}${cause?.message ? `: ${cause.message}` : ''}`;
  const neverSent = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'].includes(
    cause?.code ?? '',
  );
  return new BrokerError('unreachable', message, null, null, neverSent);
}

function asTransferError(error: unknown): unknown {
  // A local failure (a full disk) is no answer of the broker: repeating would hide it.
  if (!(error instanceof BrokerError)) return isLocal(error) ? error : asBrokerError(error);
  return error.status === 409 ? new BrokerError('stale-fence', error.message, 409) : error;
}

function isLocal(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}

/** Aborts a transfer whose bytes stopped moving. */
class StallTimer {
  private readonly controller = new AbortController();
  private timer = this.arm();

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  moved(): void {
    clearTimeout(this.timer);
    this.timer = this.arm();
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  private arm(): NodeJS.Timeout {
    return setTimeout(() => this.controller.abort(new Error('the transfer stalled')), STALLED_MS).unref();
  }
}
