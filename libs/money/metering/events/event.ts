import { hash } from 'node:crypto';
import { DAY, MINUTE } from '#kernel';
import { METERS, type Meter } from '../usage.table.js';

/** How long ago an event may have happened, and how far a sender's clock may be ahead. */
export const EVENT_PAST_MS = 35 * DAY;
export const EVENT_FUTURE_MS = 5 * MINUTE;

/** What Berth measures and reckons itself: no event may pass for it. */
const OWN_METERS: ReadonlySet<string> = new Set<Meter>(['lease-time', 'commitment']);
const OWN_SOURCES: ReadonlySet<string> = new Set([
  'lease',
  'lease-tail',
  'reservation',
  'shard',
  'storage',
  'commitment',
]);
export type EventMeter = Exclude<Meter, 'lease-time' | 'commitment'>;
export const eventMeters = Object.keys(METERS).filter((m): m is EventMeter => !OWN_METERS.has(m));
const METER_SET: ReadonlySet<string> = new Set(eventMeters);

/** Most characters of a text in an event. */
export const EVENT_TEXT_MAX = 256;

/** One event as Berth reads it; `atMs` is the millisecond in which it happened. */
export interface UsageEvent {
  readonly source: string;
  readonly eventId: string;
  readonly atMs: number;
  readonly meter: EventMeter;
  /** Whole, in the meter's unit; decimal text. */
  readonly quantity: string;
  readonly projectId: string | null;
  readonly jobId: string | null;
  readonly endpointId: string | null;
  readonly leaseId: string | null;
  readonly model: string | null;
  readonly resource: string | null;
}

export type EventFaultCode = 'invalid' | 'too-old' | 'in-the-future';

/** What is wrong with an event; `field` is its path inside the event, empty for the event as a whole. */
export class EventFault {
  constructor(
    readonly code: EventFaultCode,
    readonly field: string,
    readonly message: string,
  ) {}
}

const bad = (field: string, message: string): EventFault => new EventFault('invalid', field, message);

const DATA_FIELDS: ReadonlySet<string> = new Set([
  'meter',
  'quantity',
  'projectId',
  'jobId',
  'endpointId',
  'leaseId',
  'model',
  'resource',
]);
const RFC3339 = /^\d{4}-\d\d-(\d\d)T\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i;
/** Control characters and halves of surrogate pairs: PostgreSQL keeps no NUL, UTF-8 no halves, and the payload's hash separates by newlines. */
const UNKEPT = /[\p{Cc}\p{Cs}]/u;
/** The books keep 38 digits: what a hundred million million events say adds up to no more, so that nobody's usage keeps the sums of all from being written. */
export const QUANTITY_DIGITS = 24;
const WHOLE = new RegExp(`^\\d{1,${QUANTITY_DIGITS}}$`);
const JSON_TYPE = /^[^/;]+\/([^/;]+\+)?json\s*(;|$)/i;

type Fields = Readonly<Record<string, unknown>>;
const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Reads one CloudEvent (JSON format, 1.0); a null attribute is an absent one. Attributes that are not read here are the sender's own
 * (extensions); unknown fields of `data` are faults, because one that is misspelt would change what is meant. By hand, not by a schema:
 * twenty thousand a second come through here.
 */
export function readEvent(raw: unknown, nowMs: number): UsageEvent | EventFault {
  if (!isFields(raw)) return bad('', 'must be an object');
  if (raw['specversion'] !== '1.0') return bad('specversion', 'must be "1.0"');
  const fault =
    textFault(raw['id'], 'id') ?? textFault(raw['source'], 'source') ?? textFault(raw['type'], 'type') ?? null;
  if (fault) return fault;
  const source = raw['source'] as string;
  if (OWN_SOURCES.has(source)) return bad('source', `must not be "${source}": that is usage that Berth measures`);
  const atMs = instantOf(raw['time']);
  if (atMs === null) return bad('time', 'must be an instant such as 2026-11-21T14:00:00Z (RFC 3339)');
  if (atMs < nowMs - EVENT_PAST_MS)
    return new EventFault('too-old', 'time', `is more than ${EVENT_PAST_MS / DAY} days ago`);
  if (atMs > nowMs + EVENT_FUTURE_MS)
    return new EventFault('in-the-future', 'time', `is more than ${EVENT_FUTURE_MS / MINUTE} minutes ahead`);
  const type = raw['datacontenttype'] ?? null;
  if (type !== null && (typeof type !== 'string' || !JSON_TYPE.test(type)))
    return bad('datacontenttype', 'must be a JSON type, such as application/json');
  if ((raw['data_base64'] ?? null) !== null) return bad('data_base64', 'is not read; send `data` as JSON');
  return readData(raw['data'], { source, eventId: raw['id'] as string, atMs });
}

function readData(data: unknown, of: Pick<UsageEvent, 'source' | 'eventId' | 'atMs'>): UsageEvent | EventFault {
  if (!isFields(data)) return bad('data', 'must be an object with a meter and a quantity');
  for (const field in data) if (!DATA_FIELDS.has(field)) return bad(`data.${printable(field)}`, 'is not a known field');
  const meter = data['meter'];
  if (typeof meter !== 'string' || !METER_SET.has(meter))
    return bad(
      'data.meter',
      OWN_METERS.has(meter as string) ? 'is measured by Berth itself' : `must be one of ${eventMeters.join(', ')}`,
    );
  const quantity = quantityOf(data['quantity']);
  if (quantity === null)
    return bad(
      'data.quantity',
      `must be a whole number of ${METERS[meter as EventMeter]}, 0 or more and of at most ${QUANTITY_DIGITS} digits`,
    );
  const optional = (name: string): string | null | EventFault => {
    const value = data[name] ?? null;
    return value === null ? null : (textFault(value, `data.${name}`) ?? (value as string));
  };
  const named: Record<'projectId' | 'jobId' | 'endpointId' | 'leaseId' | 'model' | 'resource', string | null> = {
    projectId: null,
    jobId: null,
    endpointId: null,
    leaseId: null,
    model: null,
    resource: null,
  };
  for (const name of Object.keys(named) as (keyof typeof named)[]) {
    const value = optional(name);
    if (value instanceof EventFault) return value;
    named[name] = value;
  }
  return { ...of, meter: meter as EventMeter, quantity, ...named };
}

function textFault(value: unknown, field: string): EventFault | null {
  if (typeof value !== 'string' || value === '') return bad(field, 'must be a text that is not empty');
  if (value.length > EVENT_TEXT_MAX) return bad(field, `must have at most ${EVENT_TEXT_MAX} characters`);
  if (UNKEPT.test(value)) return bad(field, 'must not hold control characters');
  return null;
}

/** Whole numbers that a double holds exactly, or digits; without leading zeros. */
function quantityOf(value: unknown): string | null {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? String(value) : null;
  if (typeof value !== 'string' || !WHOLE.test(value)) return null;
  return value.startsWith('0') ? value.replace(/^0+(?=\d)/, '') : value;
}

/** What is finer than a millisecond is cut off. */
function instantOf(value: unknown): number | null {
  if (typeof value !== 'string') return null;
  const day = RFC3339.exec(value)?.[1];
  if (day === undefined) return null;
  const ms = Date.parse(value.toUpperCase());
  if (!Number.isFinite(ms)) return null;
  // The engine takes February 30 for March 2.
  if (Number(day) > 28 && Number(day) > daysIn(Number(value.slice(0, 4)), Number(value.slice(5, 7)))) return null;
  return ms;
}

const daysIn = (year: number, month: number): number => new Date(Date.UTC(year, month, 0)).getUTCDate();

const printable = (name: string): string => name.slice(0, 60).replace(/[^\x21-\x7e]/g, '?');

/**
 * SHA-256, hex, of what counts: when, how much, and of what. How the JSON was written, and what only travels with the event
 * (`type`, `subject`, extensions), may differ between two sendings. Control characters cannot occur in any of the parts.
 */
export function payloadHash(e: UsageEvent): string {
  return hash(
    'sha256',
    `${e.atMs}\n${e.meter}\n${e.quantity}\n${e.projectId ?? ''}\n${e.jobId ?? ''}\n${e.endpointId ?? ''}\n${e.leaseId ?? ''}\n${e.model ?? ''}\n${e.resource ?? ''}`,
    'hex',
  );
}
