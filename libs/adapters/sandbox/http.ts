import { z } from 'zod';
import { refusalSchema, type Refusal } from '#adapters/sandbox-cloud';

/** What one HTTP exchange came to. `unsent` is certain: the request never reached the vendor. */
export type Exchange =
  | { readonly kind: 'answered'; readonly body: unknown }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | { readonly kind: 'unsent'; readonly reason: string }
  | { readonly kind: 'lost'; readonly reason: string };

export interface Call {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly url: URL;
  readonly apiKey: string;
  readonly body?: unknown;
  /** Give up waiting after this long. */
  readonly timeoutMs: number;
  /** Give up waiting at once when this aborts. */
  readonly signal?: AbortSignal;
}

const errorBody = z.object({ error: refusalSchema });

/** Failures of a connection that was never made. Anything else may have happened after the vendor read the request. */
const neverConnected = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** One exchange; never throws and never retries: whether to try again is the caller's decision. */
export async function exchange({ method, url, apiKey, body, timeoutMs, signal }: Call): Promise<Exchange> {
  let status: number;
  let text: string;
  let retryAfter: string | null;
  try {
    const response = await fetch(url, {
      method,
      headers: {
        authorization: `Bearer ${apiKey}`,
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      // A key must not follow a redirect to another host.
      redirect: 'manual',
      signal: signal ? AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) : AbortSignal.timeout(timeoutMs),
    });
    status = response.status;
    retryAfter = response.headers.get('retry-after');
    text = await response.text();
  } catch (error) {
    const reason = reasonOf(error);
    return neverConnected.has(reason) ? { kind: 'unsent', reason } : { kind: 'lost', reason };
  }
  const parsed = parse(text);
  if (status >= 200 && status < 300) {
    return parsed === undefined
      ? { kind: 'lost', reason: `${status} without JSON` }
      : { kind: 'answered', body: parsed };
  }
  const told = errorBody.safeParse(parsed);
  return { kind: 'refused', refusal: told.success ? told.data.error : fromStatus(status, retryAfter) };
}

/** An error without the vendor's body (a proxy, a load balancer): the status has to do. */
export function fromStatus(status: number, retryAfter: string | null): Refusal {
  const codes: Record<number, string> = {
    401: 'unauthorized',
    402: 'payment_required',
    403: 'unauthorized',
    404: 'not_found',
    409: 'conflict',
    429: 'rate_limited',
  };
  const seconds = Number(retryAfter ?? Number.NaN);
  // 408 and 5xx say nothing about whether the request took effect; a redirect is no documented answer either.
  const certain = status >= 400 && status < 500 && status !== 408;
  return {
    code: codes[status] ?? (certain ? 'invalid_request' : 'internal'),
    message: `the vendor answered ${status} without an explanation`,
    retryAfterMs: Number.isFinite(seconds) && seconds >= 0 ? Math.round(seconds * 1_000) : null,
    resourceId: null,
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** The system's code where there is one ("ECONNRESET"), else "timeout", else the message. By shape and not by class: errors may come from another realm. */
function reasonOf(error: unknown): string {
  for (let e: unknown = error; typeof e === 'object' && e !== null; e = 'cause' in e ? e.cause : null) {
    if ('code' in e && typeof e.code === 'string') return e.code;
    if ('name' in e && e.name === 'TimeoutError') return 'timeout';
  }
  return error instanceof Error ? error.message : String(error);
}
