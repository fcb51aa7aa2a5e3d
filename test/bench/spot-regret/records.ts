import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** Where one kind of machine could be had, step by step. */
export interface Zone {
  readonly name: string;
  /** 1 where the machine (or the whole gang) was up in that step. */
  readonly up: Uint8Array;
  /** USD per hour in that step; empty where only time counts. */
  readonly price: Float64Array;
}

export interface SpotRecord {
  readonly name: string;
  readonly stepH: number;
  readonly steps: number;
  readonly zones: readonly Zone[];
  /** The cheapest on-demand machine, USD per hour. */
  readonly onDemand: number;
}

type Row = Readonly<Record<string, string>>;

function rows(file: string): Row[] {
  const path = join(process.cwd(), 'test/bench/spot-regret/records', file);
  const [head = '', ...lines] = gunzipSync(readFileSync(path)).toString('utf8').trim().split('\n');
  const names = head.split(',');
  return lines.map((line) => {
    const cells = line.split(',');
    return Object.fromEntries(names.map((name, i) => [name, cells[i] ?? '']));
  });
}

const cell = (row: Row, name: string): string => row[name] ?? '';
const distinct = (values: readonly string[]): string[] => [...new Set(values)];

/** Rounds of looks at a fixed list of slots: a slot is up in a round that ends with its machine running. */
function slotRecord(name: string, stepH: number, slots: ReadonlyMap<string, boolean[]>): SpotRecord {
  const steps = Math.min(...[...slots.values()].map((up) => up.length));
  const zones = [...slots].map(([slot, up]) => ({
    name: slot,
    up: Uint8Array.from(up.slice(0, steps), Number),
    price: new Float64Array(0),
  }));
  return { name, stepH, steps, zones, onDemand: 0 };
}

/** Nine machines named instance0 to instance8: three zones by three types; each round ends with running or not_running. */
function google2020(): SpotRecord[] {
  const log = rows('gcp_probes_2020-03-01.csv.gz');
  const typeOf = new Map<string, string>();
  const zoneOf = new Map<string, string>();
  const states = new Map<string, boolean[]>();
  for (const row of log) {
    const slot = cell(row, 'instance');
    if (cell(row, 'gpu_type') !== '') typeOf.set(slot, cell(row, 'gpu_type').replace('nvidia-tesla-', ''));
    if (cell(row, 'zone') !== '') zoneOf.set(slot, cell(row, 'zone'));
    const event = cell(row, 'event');
    if (event !== 'running' && event !== 'not_running') continue;
    const seen = states.get(slot) ?? [];
    seen.push(event === 'running');
    states.set(slot, seen);
  }
  // A slot whose type was never created takes the type that its neighbours in the round leave over: every third one.
  const typeAt = (slot: string): string => {
    const i = Number(slot.replace('instance', ''));
    return typeOf.get(slot) ?? typeOf.get(`instance${(i + 3) % 9}`) ?? typeOf.get(`instance${(i + 6) % 9}`) ?? '?';
  };
  const slots = [...states.keys()].sort();
  return distinct(slots.map(typeAt)).map((type) =>
    slotRecord(
      `GCP ${type} 2020`,
      hoursPerRound(log, Math.max(...[...states.values()].map((s) => s.length))),
      new Map(slots.filter((s) => typeAt(s) === type).map((s) => [zoneOf.get(s) ?? s, states.get(s) ?? []])),
    ),
  );
}

/** Eight slots in a fixed round (a failed creation names no zone: it belongs to the slot whose turn it is). */
function amazon2020(): SpotRecord[] {
  const log = rows('aws_probes_2020-03-15.csv.gz').filter((r) =>
    ['created', 'creation_failed', 'running', 'not_running'].includes(cell(r, 'event')),
  );
  const kinds = ['v100 x1', 'v100 x8', 'k80 x1', 'k80 x8'];
  const slots = ['us-east-1b', 'us-east-1c'].flatMap((zone) => kinds.map((kind) => ({ zone, kind })));
  const holder = new Map<string, number>();
  const states = slots.map((): boolean[] => []);
  let turn = 0;
  let lost = false;
  for (const row of log) {
    const event = cell(row, 'event');
    const id = cell(row, 'instance');
    const holds = holder.get(id);
    if (event === 'created' || event === 'creation_failed') {
      // The turn is that of the next slot of the kind, so that one missing line shifts nothing.
      const kind = `${cell(row, 'gpu_type')} x${cell(row, 'gpus')}`;
      for (let i = 0; i < slots.length && slots[turn]?.kind !== kind; i++) turn = (turn + 1) % slots.length;
      if (event === 'created') holder.set(id, turn);
    } else if (holds !== undefined) turn = holds;
    if (event === 'not_running') {
      // Asked for again in the same turn: a round with a loss is a round without the machine, whatever follows.
      lost = true;
      continue;
    }
    states[turn]?.push(event !== 'creation_failed' && !lost);
    lost = false;
    turn = (turn + 1) % slots.length;
  }
  const rounds = Math.max(...states.map((s) => s.length));
  return kinds.map((kind) =>
    slotRecord(
      `AWS ${kind} 2020`,
      hoursPerRound(log, rounds),
      new Map(slots.flatMap((s, i) => (s.kind === kind ? [[s.zone, states[i] ?? []]] : []))),
    ),
  );
}

function hoursPerRound(log: readonly Row[], rounds: number): number {
  const from = Date.parse(cell(log[0] ?? {}, 'time'));
  const to = Date.parse(cell(log.at(-1) ?? {}, 'time'));
  return (to - from) / 3_600_000 / rounds;
}

const H100_STEP_H = 1 / 6;

/** Sixteen machines or none: a zone is up when all that were asked for started. */
function gangs2025(): SpotRecord {
  const prices = new Map(rows('gcp_h100x16_prices_2025-10.csv.gz').map((r) => [cell(r, 'zone'), r]));
  const looks = rows('gcp_h100x16_probes_2025-10.csv.gz');
  const times = distinct(looks.map((r) => cell(r, 'scheduled_at').slice(0, 15))).sort();
  const stepOf = new Map(times.map((t, i) => [t, i]));
  const zones = [...prices].map(([name, p]) => ({
    name,
    up: new Uint8Array(times.length),
    price: new Float64Array(times.length).fill(Number(cell(p, 'spot_usd_per_hour'))),
  }));
  for (const row of looks) {
    const zone = zones.find((z) => z.name === cell(row, 'zone'));
    const step = stepOf.get(cell(row, 'scheduled_at').slice(0, 15));
    if (zone && step !== undefined) zone.up[step] = Number(cell(row, 'created') === cell(row, 'requested'));
  }
  const onDemand = Math.min(...[...prices.values()].map((p) => Number(cell(p, 'on_demand_usd_per_hour'))));
  return { name: 'GCP 16xH100 2025', stepH: H100_STEP_H, steps: times.length, zones, onDemand };
}

const LOOK_S = 195;
/** Three looks: about the ten minutes of a restart. */
const LOOKS_PER_STEP = 3;
/** List price of p3.2xlarge on demand in those regions. */
const V100_ON_DEMAND = 3.06;

/** Up in a step when up at each of its looks. */
function machines2023(): SpotRecord {
  const changes = rows('aws_v100_availability_2023.csv.gz');
  const from = Math.min(...changes.map((r) => Date.parse(`${cell(r, 'date')}Z`)));
  const to = Math.max(...changes.map((r) => Date.parse(`${cell(r, 'date')}Z`)));
  const looks = Math.floor((to - from) / 1_000 / LOOK_S);
  const steps = Math.floor(looks / LOOKS_PER_STEP);
  const held = (events: readonly { at: number; value: number }[]): Float64Array => {
    const out = new Float64Array(looks).fill(events[0]?.value ?? 0);
    events.forEach((e, i) => {
      out.fill(e.value, e.at, events[i + 1]?.at ?? looks);
    });
    return out;
  };
  const prices = rows('aws_v100_spot_price_2023.csv.gz');
  const zones = distinct(changes.map((r) => cell(r, 'zone'))).map((name) => {
    const up = held(
      changes
        .filter((r) => cell(r, 'zone') === name)
        .map((r) => ({
          at: Math.round((Date.parse(`${cell(r, 'date')}Z`) - from) / 1_000 / LOOK_S),
          value: Number(cell(r, 'availability')),
        })),
    );
    const price = held(
      prices
        .filter((r) => cell(r, 'zone') === name)
        .map((r) => ({ at: Number(cell(r, 'tick_195s')), value: Number(cell(r, 'spot_usd_per_hour')) })),
    );
    const first = (of: Float64Array, i: number): number => of[i * LOOKS_PER_STEP] ?? 0;
    return {
      name: name.replace('_v100_1', ''),
      up: Uint8Array.from({ length: steps }, (_, i) =>
        Number(up.subarray(i * LOOKS_PER_STEP, (i + 1) * LOOKS_PER_STEP).every((v) => v === 1)),
      ),
      price: Float64Array.from({ length: steps }, (_, i) => first(price, i)),
    };
  });
  const stepH = (LOOK_S * LOOKS_PER_STEP) / 3_600;
  return { name: 'AWS V100 2023', stepH, steps, zones, onDemand: V100_ON_DEMAND };
}

/** The same record with some of its zones only. */
function onlyZones(record: SpotRecord, name: string, matches: (zone: string) => boolean): SpotRecord {
  return { ...record, name, zones: record.zones.filter((z) => matches(z.name)) };
}

/** The five logs of 2020 in which machines were lost (V100 on AWS never was). */
export const choiceRecords = (): SpotRecord[] => [
  ...google2020(),
  ...amazon2020().filter((r) => r.zones.some((z) => z.up.includes(0))),
];

/** Whole records and the hard parts of them: few zones, dear alternatives. */
export function dollarRecords(): SpotRecord[] {
  const v100 = machines2023();
  const h100 = gangs2025();
  return [
    v100,
    onlyZones(v100, 'AWS V100 2023, us-east-1', (z) => z.startsWith('us-east-1')),
    h100,
    onlyZones(h100, 'GCP 16xH100 2025, US', (z) => z.startsWith('us-')),
  ];
}
