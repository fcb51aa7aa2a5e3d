import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createLogger, type LogFields } from './logger.js';
import { namesSecret, redactFields, redactText } from './redact.js';

const CANARY = 'canary-7f3e';

/** The lines that `write` produces, as text. */
function linesOf(write: (logger: ReturnType<typeof createLogger>) => void): string {
  let text = '';
  write(createLogger({ name: 'spec', level: 'trace', stream: { write: (line) => (text += line) } }));
  return text;
}

describe('namesSecret', () => {
  it.each([
    'authorization',
    'Authorization',
    'proxy-authorization',
    'apiKey',
    'api_key',
    'x-api-key',
    'key',
    'keys',
    'password',
    'dbPassword',
    'BERTH_SECRET',
    'clientSecret',
    'enrolToken',
    'tokens',
    'Set-Cookie',
    'credentials',
    'signingKey',
    'X-Amz-Signature',
    'secretAccessKey',
  ])('%s', (name) => expect(namesSecret(name)).toBe(true));

  it.each([
    'keyId',
    'tokenPrefix',
    'idempotencyKey',
    'objectKey',
    'keyboard',
    'tokenizer',
    'secretary',
    'leaseId',
    'publicKey',
  ])('not %s', (name) => expect(namesSecret(name)).toBe(false));
});

describe('a log line', () => {
  const places: [string, LogFields][] = [
    ['at the top', { authorization: CANARY }],
    ['deep inside', { a: { b: [{ c: { d: { password: CANARY } } }] } }],
    ['below a secret name', { secrets: { first: { value: CANARY }, list: [CANARY] } }],
    ['in a request', { req: { headers: { cookie: CANARY, 'x-api-key': CANARY } } }],
    ['in a map', { facts: new Map([['token', CANARY]]) }],
    ['in bytes', { secret: Buffer.from(CANARY) }],
    ['on an error', { err: Object.assign(new Error('x'), { credentials: { secret: CANARY } }) }],
    ['on the cause of an error', { err: new Error('x', { cause: Object.assign(new Error('y'), { apiKey: CANARY }) }) }],
    ['in a URL', { url: `postgres://owner:${CANARY}@db/berth` }],
    ['in a signed URL', { url: new URL(`https://s3/x?X-Amz-Signature=${CANARY}&a=1`) }],
    ['in a header line', { line: `Authorization: Bearer ${CANARY}${CANARY}` }],
    ['in a private key', { pem: `-----BEGIN PRIVATE KEY-----\n${CANARY}\n-----END PRIVATE KEY-----` }],
  ];
  it.each(places)('does not carry a secret %s', (_, fields) => {
    const text = linesOf((logger) => {
      logger.info(fields, 'line');
      logger.child(fields).info('line');
    });
    expect(text.trim().split('\n')).toHaveLength(2);
    for (const line of text.trim().split('\n')) expect(JSON.parse(line)).toMatchObject({ msg: 'line', level: 'info' });
    expect(text).not.toContain(CANARY);
    expect(text).not.toContain(Buffer.from(CANARY).toString('base64'));
  });

  it('does not carry a secret in its message, and keeps what helps', () => {
    const token = `berth_project_${'a1B2'.repeat(9)}`;
    const text = linesOf((logger) => {
      logger.warn(`refused ${token} of postgres://u:${CANARY}@h/db`);
      logger.error(new Error(`no route to redis://:${CANARY}@h`));
    });
    expect(text).toContain('refused berth_project_[redacted] of postgres://[redacted]@h/db');
    expect(text).not.toContain(CANARY);
    expect(text).not.toContain('a1B2');
  });

  it('keeps counts, ids and everything harmless', () => {
    const fields = { outputTokens: 12, keyId: 'key_01', ok: true, cost: 5n, at: new Date(0), none: null };
    const line: unknown = JSON.parse(linesOf((logger) => logger.info(fields, 'done')));
    expect(line).toMatchObject({
      outputTokens: 12,
      keyId: 'key_01',
      ok: true,
      cost: '5',
      at: '1970-01-01T00:00:00.000Z',
      none: null,
    });
  });

  it('survives cycles, depth and size', () => {
    const cycle: Record<string, unknown> = { big: Array.from({ length: 1_000 }, (_, i) => i) };
    cycle.self = cycle;
    let deep: Record<string, unknown> = {};
    for (let i = 0; i < 50; i++) deep = { deep };
    const line = JSON.parse(linesOf((logger) => logger.info({ cycle, deep }, 'x'))) as {
      cycle: { self: unknown; big: unknown[] };
    };
    expect(line.cycle.self).toBe('[circular]');
    expect(line.cycle.big).toHaveLength(201);
  });

  it('hides text below a secret name in any object at all', () => {
    const name = fc.constantFrom('token', 'apiKey', 'Authorization', 'password', 'client_secret');
    const leaf = fc.constant(CANARY);
    const shape = fc.letrec((tie) => ({
      below: fc.oneof(
        { maxDepth: 4 },
        leaf,
        fc.array(tie('below'), { maxLength: 3 }),
        fc.dictionary(fc.string(), tie('below'), { maxKeys: 3 }),
      ),
      above: fc.oneof(
        { maxDepth: 4 },
        fc.tuple(name, tie('below')).map(([key, value]) => ({ [key]: value })),
        fc.array(tie('above'), { maxLength: 3 }),
        fc.dictionary(fc.string(), tie('above'), { maxKeys: 3 }),
      ),
    }));
    fc.assert(
      fc.property(shape.above, (value) => {
        expect(JSON.stringify(redactFields({ value }))).not.toContain(CANARY);
      }),
    );
  });
});

describe('redactText', () => {
  it('leaves JSON valid whatever stands in it', () => {
    const piece = fc.oneof(
      fc.string(),
      fc.constantFrom(
        'Bearer abcdefghij',
        '://u:p@h',
        '?token=abc',
        'whsec_abcdefgh1',
        'sk_live_abcdefgh1',
        '\n',
        '"',
        '\\',
      ),
    );
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const text = pieces.join('');
        expect(() => JSON.parse(redactText(JSON.stringify({ text, list: pieces }))) as unknown).not.toThrow();
      }),
    );
  });
});
