import { systemRandom, type Random } from './random.js';

/** Every id is `<prefix>_<26 characters>`: the prefix says the kind, the rest sorts by creation time (48 bit ms, 80 bit random, Crockford base 32). */
export const ID_PREFIXES = {
  organization: 'org',
  project: 'prj',
  key: 'key',
  provider: 'prv',
  host: 'host',
  agent: 'agt',
  offer: 'off',
  placement: 'pl',
  quote: 'qt',
  lease: 'lease',
  attempt: 'att',
  job: 'job',
  shard: 'shd',
  artifact: 'art',
  hold: 'hold',
  usage: 'use',
  transaction: 'txn',
  invoice: 'inv',
  payment: 'pay',
  refund: 'rfd',
  setup: 'set',
  closing: 'icl',
  dispute: 'dsp',
  payout: 'po',
  payoutStatement: 'pst',
  payoutAccount: 'pac',
  payoutReversal: 'por',
  payoutDispute: 'pds',
  holdback: 'hbk',
  movement: 'mov',
  priceBook: 'prb',
  commitment: 'cmt',
  reservation: 'rsv',
  vendorInvoice: 'vin',
  vendorComparison: 'vcm',
  creditNote: 'crn',
  audit: 'aud',
  quota: 'quo',
  grant: 'grt',
  cohort: 'coh',
  event: 'evt',
  request: 'req',
  install: 'ins',
  token: 'tok',
} as const;

export type IdKind = keyof typeof ID_PREFIXES;
export type Id<K extends IdKind = IdKind> = `${(typeof ID_PREFIXES)[K]}_${string}`;

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/** A new id of that kind; time-ordered to the millisecond. */
export function newId<K extends IdKind>(kind: K, nowMs: number = Date.now(), random: Random = systemRandom): Id<K> {
  let time = '';
  for (let t = nowMs, i = 0; i < 10; i++) {
    time = ALPHABET.charAt(t % 32) + time;
    t = Math.floor(t / 32);
  }
  let rest = '';
  for (const byte of random.bytes(16)) rest += ALPHABET.charAt(byte & 31);
  return `${ID_PREFIXES[kind]}_${time}${rest}`;
}

/** True when `text` is an id of that kind, in form (it may still not exist). */
export function isId<K extends IdKind>(kind: K, text: unknown): text is Id<K> {
  return typeof text === 'string' && new RegExp(`^${ID_PREFIXES[kind]}_[0-9a-hjkmnp-tv-z]{26}$`).test(text);
}
