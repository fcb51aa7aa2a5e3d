import { Transform, type Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { DomainError } from '#kernel';
import { jsonFault } from './json-body.js';
import { HttpProblem } from '../problems/problem.js';
import type { RouteSpec } from '../route.js';

const DEFAULT_JSON_BYTES = 1_048_576;
/** Deeper JSON than this is nobody's request; the schemas' own recursion must not meet it. */
const MOST_DEPTH = 64;

/**
 * The only readers of request bodies: JSON for routes with a body, the untouched stream for uploads, and a refusal for
 * everything else. `specOf` tells which route a request has reached.
 */
export function registerBodyParsers(
  fastify: FastifyInstance,
  specOf: (request: FastifyRequest) => RouteSpec | null,
  bodyLimitBytes: number,
): void {
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser('*', async (request: FastifyRequest, payload: Readable) => {
    const spec = specOf(request);
    if (spec?.upload) return limited(request, payload, Math.min(bodyLimitBytes, spec.maxBodyBytes ?? bodyLimitBytes));
    if (!spec?.body) return drained(payload);
    if ((request.headers['content-encoding'] ?? 'identity') !== 'identity') {
      throw new HttpProblem(415, 'unsupported-encoding', 'Send the body uncompressed.');
    }
    if (
      !/^application\/(json|[\w.+-]+\+json)\s*(;\s*charset="?utf-8"?\s*)?$/i.test(request.headers['content-type'] ?? '')
    ) {
      throw new HttpProblem(415, 'unsupported-media-type', 'Send JSON as application/json.');
    }
    return jsonOf(await textOf(request, payload, Math.min(bodyLimitBytes, spec.maxBodyBytes ?? DEFAULT_JSON_BYTES)));
  });
}

/** A body that no route asked for is not kept; the connection stays usable when it is small. */
function drained(payload: Readable): undefined {
  payload.resume();
  return undefined;
}

function tooLarge(limitBytes: number): DomainError {
  return new DomainError('too-large', 'body-too-large', `The body is larger than ${limitBytes} bytes.`, {
    fix: 'Send less at once, or upload the data as an artifact and name it in the request.',
    facts: { limitBytes },
  });
}

function checkDeclared(request: FastifyRequest, limitBytes: number): void {
  if (Number(request.headers['content-length'] ?? 0) > limitBytes) throw tooLarge(limitBytes);
}

async function textOf(request: FastifyRequest, payload: Readable, limitBytes: number): Promise<string> {
  checkDeclared(request, limitBytes);
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of payload as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > limitBytes) throw tooLarge(limitBytes);
    parts.push(part);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts));
  } catch {
    throw new DomainError('invalid', 'malformed-json', 'The body is not UTF-8.', {
      fix: 'Send JSON encoded as UTF-8.',
    });
  }
}

function limited(request: FastifyRequest, payload: Readable, limitBytes: number): Readable {
  checkDeclared(request, limitBytes);
  let bytes = 0;
  const counter = new Transform({
    transform(part: Buffer, _encoding, done) {
      bytes += part.length;
      if (bytes > limitBytes) done(tooLarge(limitBytes));
      else done(null, part);
    },
  });
  payload.on('error', (error) => counter.destroy(error));
  payload.on('aborted', () => counter.destroy(new HttpProblem(400, 'upload-aborted', 'The upload ended early.')));
  return payload.pipe(counter);
}

export function jsonOf(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    const { offset, line, column } = jsonFault(text);
    const where = text.trim() === '' ? 'is empty' : `is not JSON at line ${line}, column ${column}`;
    throw new DomainError('invalid', 'malformed-json', `The body ${where}.`, {
      fix: 'Send one JSON value; mind quotes, commas and brackets.',
      facts: { offset, line, column },
    });
  }
  if (depthExceeds(value, MOST_DEPTH)) {
    throw new DomainError('invalid', 'json-too-deep', `The body is nested deeper than ${MOST_DEPTH} levels.`);
  }
  return value;
}

/** Goes no deeper than one beyond the limit, so that no body exhausts the stack. */
function depthExceeds(value: unknown, limit: number): boolean {
  if (limit < 0) return true;
  if (typeof value !== 'object' || value === null) return false;
  // By keys: lists of all values of a large body would cost more than reading it.
  for (const key in value) if (depthExceeds((value as Record<string, unknown>)[key], limit - 1)) return true;
  return false;
}
