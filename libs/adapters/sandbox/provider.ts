import type { Clock } from '#kernel';
import { VendorError } from '#contracts';
import type { CreateOutcome, CreateRequest, Offer, ProviderDescription, ProviderPort, VendorMachine } from '#contracts';
import type { z } from 'zod';
import {
  accountSchema,
  defaultSettings,
  describeCloud,
  installTag,
  machineSchema,
  offersSchema,
  pageSchema,
  toCloudCreate,
  toCreateOutcome,
  toOffer,
  toVendorError,
  toVendorMachine,
  tooLateToSend,
} from '#adapters/sandbox-cloud';
import { exchange, type Call, type Exchange } from './http.js';

export interface SandboxProviderOptions {
  /** Where the sandbox listens, "http://127.0.0.1:4100". */
  readonly baseUrl: string;
  readonly apiKey: string;
  readonly providerId: string;
  readonly clock: Clock;
  /** What this sandbox was told to be (client tokens, consistency window, billing); default: a plain one. */
  readonly description?: Partial<ProviderDescription>;
  /** Longest wait of any call but create, which brings its own deadline. Default 10 s. */
  readonly timeoutMs?: number;
}

/** A list longer than this is an endless loop of cursors. */
const maxPages = 10_000;

/** The provider port over the sandbox vendor's HTTP API. */
export class SandboxProvider implements ProviderPort {
  private readonly timeoutMs: number;

  constructor(private readonly options: SandboxProviderOptions) {
    this.timeoutMs = options.timeoutMs ?? 10_000;
  }

  describe(): ProviderDescription {
    return { ...describeCloud({ settings: defaultSettings }), ...this.options.description };
  }

  async *listOffers({ signal }: { readonly signal?: AbortSignal } = {}): AsyncGenerator<Offer> {
    const { offers } = read(await this.call('GET', 'v1/offers', signal === undefined ? {} : { signal }), offersSchema);
    const observedAtMs = this.options.clock.now();
    for (const offer of offers) yield toOffer(offer, this.options.providerId, observedAtMs);
  }

  async create(request: CreateRequest): Promise<CreateOutcome> {
    try {
      const body = toCloudCreate(request);
      const nowMs = this.options.clock.now();
      // The last thing before the request leaves: a process that was stalled must not act late (invariant 2).
      if (nowMs >= request.sendBeforeMs) return tooLateToSend(request.sendBeforeMs, nowMs);
      const result = await this.call('POST', 'v1/machines', { body, timeoutMs: request.deadlineMs });
      if (result.kind === 'refused') return toCreateOutcome(result.refusal);
      if (result.kind === 'lost') return { kind: 'unknown', reason: result.reason };
      if (result.kind === 'unsent') {
        const error = new VendorError('transient', 'account', `the vendor cannot be reached: ${result.reason}`);
        return { kind: 'failed', error, vendorId: null };
      }
      const machine = machineSchema.safeParse(result.body);
      return machine.success
        ? { kind: 'created', machine: toVendorMachine(machine.data) }
        : { kind: 'unknown', reason: 'the vendor accepted the request and its answer is not understood' };
    } catch (error) {
      // A bug here must not look like a failure that left nothing behind.
      return { kind: 'unknown', reason: error instanceof Error ? error.message : String(error) };
    }
  }

  async get(vendorId: string): Promise<VendorMachine | null> {
    const result = await this.call('GET', `v1/machines/${encodeURIComponent(vendorId)}`);
    if (isNotFound(result)) return null;
    return toVendorMachine(read(result, machineSchema));
  }

  async *list(installId: string): AsyncGenerator<VendorMachine> {
    const seen = new Set<string>();
    let cursor: string | null = null;
    for (let page = 0; page < maxPages; page++) {
      const query: Record<string, string> = {
        tag: `${installTag}=${installId}`,
        ...(cursor === null ? {} : { cursor }),
      };
      const { items, nextCursor } = read(await this.call('GET', 'v1/machines', { query }), pageSchema);
      for (const view of items) {
        const machine = toVendorMachine(view);
        // A vendor that ignores the filter must not hand us somebody else's machines.
        if (machine.installId !== installId || seen.has(machine.vendorId)) continue;
        seen.add(machine.vendorId);
        yield machine;
      }
      if (nextCursor === null) return;
      cursor = nextCursor;
    }
    throw new VendorError('transient', 'account', `the list has more than ${maxPages} pages`);
  }

  async terminate(vendorId: string): Promise<void> {
    const result = await this.call('DELETE', `v1/machines/${encodeURIComponent(vendorId)}`);
    if (result.kind === 'answered' || isNotFound(result)) return;
    if (result.kind === 'lost') throw new VendorError('outcome-unknown', 'offer', `terminate: ${result.reason}`);
    throw failure(result);
  }

  async probe(): Promise<void> {
    read(await this.call('GET', 'v1/account'), accountSchema);
  }

  private call(
    method: Call['method'],
    path: string,
    {
      body,
      query = {},
      timeoutMs = this.timeoutMs,
      signal,
    }: { body?: unknown; query?: Record<string, string>; timeoutMs?: number; signal?: AbortSignal } = {},
  ): Promise<Exchange> {
    const url = new URL(path, this.options.baseUrl.replace(/\/*$/, '/'));
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
    const { apiKey } = this.options;
    const more = { ...(body === undefined ? {} : { body }), ...(signal === undefined ? {} : { signal }) };
    return exchange({ method, url, apiKey, timeoutMs, ...more });
  }
}

function isNotFound(result: Exchange): boolean {
  return result.kind === 'refused' && result.refusal.code === 'not_found';
}

function failure(result: Exclude<Exchange, { kind: 'answered' }>): VendorError {
  if (result.kind === 'refused') return toVendorError(result.refusal);
  return new VendorError('transient', 'account', `the vendor cannot be reached: ${result.reason}`);
}

function read<S extends z.ZodType>(result: Exchange, schema: S): z.output<S> {
  if (result.kind !== 'answered') throw failure(result);
  const parsed = schema.safeParse(result.body);
  if (parsed.success) return parsed.data;
  throw new VendorError('transient', 'account', 'the answer of the vendor is not understood');
}
