import type { IncomingMessage, ServerResponse } from 'node:http';
import { createHash, timingSafeEqual } from 'node:crypto';
import type { z } from 'zod';
import { refusalStatus, type Answer, type RefusalCode } from '#adapters/sandbox-cloud';

/** Longest request body that is read. */
const maxBodyBytes = 1_048_576;

/** A "no" to be sent as the vendor's error body. */
export class Refused extends Error {
  constructor(
    readonly code: RefusalCode,
    message: string,
    /** Where the code's own status would mislead: 405, 413. */
    readonly status: number = refusalStatus[code],
  ) {
    super(message);
  }
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  const text = JSON.stringify(body, (_, v: unknown) => (typeof v === 'bigint' ? v.toString() : v));
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
}

/** Sends what the core answered; a lost answer is a cut connection, or silence until the caller gives up. */
export function sendAnswer<T>(response: ServerResponse, answer: Answer<T>, status = 200): void {
  if (answer.kind === 'done') return sendJson(response, status, answer.value);
  if (answer.kind === 'lost') {
    if (answer.how === 'reset') response.destroy();
    return;
  }
  const { code, retryAfterMs } = answer.refusal;
  const headers: Record<string, string> =
    retryAfterMs === null ? {} : { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)) };
  sendJson(response, refusalStatus[code], { error: answer.refusal }, headers);
}

export function sendRefused(response: ServerResponse, { code, message, status }: Refused): void {
  sendJson(response, status, { error: { code, message, retryAfterMs: null, resourceId: null } });
}

/** The body as JSON that fits the schema; throws Refused otherwise. An empty body counts as {}. */
export async function readBody<S extends z.ZodType>(request: IncomingMessage, schema: S): Promise<z.output<S>> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBodyBytes)
      throw new Refused('invalid_request', `The body is longer than ${maxBodyBytes} bytes.`, 413);
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  let value: unknown;
  try {
    value = text === '' ? {} : (JSON.parse(text) as unknown);
  } catch {
    throw new Refused('invalid_request', 'The body is not JSON.');
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new Refused(
    'invalid_request',
    parsed.error.issues.map((issue) => `${issue.path.join('.') || 'body'}: ${issue.message}`).join('; '),
  );
}

/** Compares in constant time, through hashes so that the lengths agree. */
export function hasKey(request: IncomingMessage, key: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(request.headers.authorization ?? ''), digest(`Bearer ${key}`));
}
