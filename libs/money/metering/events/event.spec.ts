import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DAY, MINUTE } from '#kernel';
import { EVENT_FUTURE_MS, EVENT_PAST_MS, EventFault, eventMeters, payloadHash, readEvent } from './event.js';

const NOW = Date.UTC(2026, 10, 21, 14);
const event = (over: Record<string, unknown> = {}, data: Record<string, unknown> = {}) => ({
  specversion: '1.0',
  id: 'e-1',
  source: '/gateway/eu',
  type: 'com.example.tokens',
  time: '2026-11-21T13:59:30.123456Z',
  data: { meter: 'input-tokens', quantity: 1200, projectId: 'prj_1', ...data },
  ...over,
});
const read = (raw: unknown) => readEvent(raw, NOW);
const fault = (raw: unknown) => {
  const got = read(raw);
  return got instanceof EventFault ? `${got.code} ${got.field}: ${got.message}` : 'no fault';
};

describe('an event', () => {
  it('is read to the millisecond, with null for what it does not say', () => {
    expect(read(event({ subject: 'x', traceparent: '00-1', partitionkey: 7 }))).toEqual({
      source: '/gateway/eu',
      eventId: 'e-1',
      atMs: Date.UTC(2026, 10, 21, 13, 59, 30, 123),
      meter: 'input-tokens',
      quantity: '1200',
      projectId: 'prj_1',
      jobId: null,
      endpointId: null,
      leaseId: null,
      model: null,
      resource: null,
    });
  });

  it('may be null where it may be absent, and say its time in any offset', () => {
    const nulls = { datacontenttype: null, subject: null, dataschema: null, data_base64: null };
    expect(fault(event(nulls, { jobId: null, model: null }))).toBe('no fault');
    expect(read(event({ time: '2026-11-21t15:00:00+01:30' }))).toMatchObject({ atMs: NOW - 30 * MINUTE });
    expect(fault(event({ datacontenttype: 'application/vnd.berth+json; charset=utf-8' }))).toBe('no fault');
  });

  it.each([
    [17, 'invalid : must be an object'],
    [[], 'invalid : must be an object'],
    [null, 'invalid : must be an object'],
    [event({ specversion: '0.3' }), 'invalid specversion: must be "1.0"'],
    [event({ id: '' }), 'invalid id: must be a text that is not empty'],
    [event({ id: 4 }), 'invalid id: must be a text that is not empty'],
    [event({ id: 'x'.repeat(257) }), 'invalid id: must have at most 256 characters'],
    [event({ id: 'a\u0000' }), 'invalid id: must not hold control characters'],
    [event({ id: '\ud800' }), 'invalid id: must not hold control characters'],
    [event({ source: undefined }), 'invalid source: must be a text that is not empty'],
    ...['lease', 'lease-tail', 'reservation', 'shard', 'storage', 'commitment'].map((source): [unknown, string] => [
      event({ source }),
      `invalid source: must not be "${source}": that is usage that Berth measures`,
    ]),
    [event({ type: null }), 'invalid type: must be a text that is not empty'],
    [event({ time: undefined }), 'invalid time: must be an instant such as 2026-11-21T14:00:00Z (RFC 3339)'],
    [event({ time: '2026-11-21' }), 'invalid time: must be an instant such as 2026-11-21T14:00:00Z (RFC 3339)'],
    [
      event({ time: '2026-11-31T10:00:00Z' }),
      'invalid time: must be an instant such as 2026-11-21T14:00:00Z (RFC 3339)',
    ],
    [event({ time: 1_763_733_600 }), 'invalid time: must be an instant such as 2026-11-21T14:00:00Z (RFC 3339)'],
    [event({ datacontenttype: 'text/xml' }), 'invalid datacontenttype: must be a JSON type, such as application/json'],
    [event({ data_base64: 'AA==' }), 'invalid data_base64: is not read; send `data` as JSON'],
    [event({ data: undefined }), 'invalid data: must be an object with a meter and a quantity'],
    [event({ data: 'x' }), 'invalid data: must be an object with a meter and a quantity'],
    [event({}, { projectID: 'prj_1' }), 'invalid data.projectID: is not a known field'],
    [event({}, { meter: 'steps' }), `invalid data.meter: must be one of ${eventMeters.join(', ')}`],
    [event({}, { meter: 'lease-time' }), 'invalid data.meter: is measured by Berth itself'],
    [event({}, { meter: 'commitment' }), 'invalid data.meter: is measured by Berth itself'],
    [
      event({}, { quantity: -1 }),
      'invalid data.quantity: must be a whole number of tokens, 0 or more and of at most 24 digits',
    ],
    [
      event({}, { quantity: 0.5 }),
      'invalid data.quantity: must be a whole number of tokens, 0 or more and of at most 24 digits',
    ],
    [
      event({}, { quantity: 2 ** 53 }),
      'invalid data.quantity: must be a whole number of tokens, 0 or more and of at most 24 digits',
    ],
    [
      event({}, { quantity: '1e3' }),
      'invalid data.quantity: must be a whole number of tokens, 0 or more and of at most 24 digits',
    ],
    [event({}, { model: '' }), 'invalid data.model: must be a text that is not empty'],
    [event({}, { jobId: 12 }), 'invalid data.jobId: must be a text that is not empty'],
  ])('is told what is wrong with it: %j', (raw, message) => {
    expect(fault(raw)).toBe(message);
  });

  it('is taken from 35 days back to 5 minutes ahead, both ends included', () => {
    const at = (ms: number) => fault(event({ time: new Date(ms).toISOString() }));
    expect([EVENT_PAST_MS, EVENT_FUTURE_MS]).toEqual([35 * DAY, 5 * MINUTE]);
    expect(at(NOW - 35 * DAY)).toBe('no fault');
    expect(at(NOW - 35 * DAY - 1)).toBe('too-old time: is more than 35 days ago');
    expect(at(NOW + 5 * MINUTE)).toBe('no fault');
    expect(at(NOW + 5 * MINUTE + 1)).toBe('in-the-future time: is more than 5 minutes ahead');
  });

  it('takes every day that there is, and none that there is not', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 31 }), (month, day) => {
        const pad = (n: number) => String(n).padStart(2, '0');
        const time = `2028-${pad(month)}-${pad(day)}T00:00:00Z`;
        const ms = Date.UTC(2028, month - 1, day);
        const got = readEvent(event({ time }), ms);
        if (new Date(ms).getUTCMonth() === month - 1) expect(got).toMatchObject({ atMs: ms });
        else expect(got).toBeInstanceOf(EventFault);
      }),
    );
  });
});

describe('the hash of a payload', () => {
  const hashOf = (raw: unknown): string => {
    const got = read(raw);
    if (got instanceof EventFault) throw new Error(got.message);
    return payloadHash(got);
  };
  const base = hashOf(event());

  it('does not see how the JSON was written, nor what only travels with the event', () => {
    const { data, ...rest } = event();
    const turned = { data: Object.fromEntries(Object.entries(data).reverse()), ...rest };
    expect(hashOf(turned)).toBe(base);
    expect(hashOf(event({ time: '2026-11-21T14:59:30.123+01:00', type: 'other', trace: 'x' }, { model: null }))).toBe(
      base,
    );
    expect(hashOf(event({}, { quantity: '01200' }))).toBe(base);
    expect(base).toMatch(/^[0-9a-f]{64}$/);
  });

  it('sees every part that counts, and in which place it stands', () => {
    const others = [
      event({ time: '2026-11-21T13:59:30.124Z' }),
      event({}, { quantity: 1201 }),
      event({}, { meter: 'output-tokens' }),
      ...['projectId', 'jobId', 'endpointId', 'leaseId', 'model', 'resource'].map((field) =>
        event({}, { [field]: 'x' }),
      ),
    ].map(hashOf);
    expect(new Set([base, ...others]).size).toBe(others.length + 1);
  });
});
