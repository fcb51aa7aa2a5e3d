import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { HOUR, SeededRandom } from '#kernel';
import { providerKinds, type ProviderKind } from '#contracts';
import { chargePerHour } from '#money/rating';
import type { Tenant, Till } from '#testing/till';

/** The recorded month plays in June 2026. */
export const MONTH_START = Date.UTC(2026, 5, 1);
export const MONTH_END = Date.UTC(2026, 6, 1);

/** A machine of pod n takes n modulo this many seconds from boot to the accepted probe; the tenant does not pay for them. */
export const LONGEST_PROBE_S = 90;

/** What the broker adds to the cost, in basis points, and what tenants are taxed. */
export const MARGIN_BPS: Readonly<Record<string, number>> = {
  hyperscaler: 800,
  'bare-metal': 1_200,
  decentralized: 1_550,
};
export const TAX_BPS: Readonly<Record<string, number>> = { o02: 1_900, o03: 725, o05: 2_000, o08: 810, o11: 2_500 };

/** How providers of each kind are paid, written down here once more for SQL. */
export const PAYOUT_TERMS: Readonly<Record<string, { holdbackBps: number; minimumCents: number }>> = {
  hyperscaler: { holdbackBps: 0, minimumCents: 1 },
  'bare-metal': { holdbackBps: 0, minimumCents: 1 },
  decentralized: { holdbackBps: 1_000, minimumCents: 2_500 },
};

export interface RecordedLease {
  readonly pod: number;
  readonly organization: string;
  readonly project: string;
  readonly provider: string;
  readonly provider_kind: ProviderKind;
  readonly sku: string;
  readonly gpu: string;
  readonly gpus: number;
  readonly cost_per_hour_nano: bigint;
  readonly start_s: number;
  readonly end_s: number;
}

export function recordedLeases(): RecordedLease[] {
  const text = gunzipSync(readFileSync(join(import.meta.dirname, 'leases.csv.gz'))).toString('utf8');
  const [head = '', ...lines] = text.trimEnd().split('\n');
  const names = head.split(',');
  return lines.map((line) => {
    const cells = new Map(line.split(',').map((cell, i) => [names[i], cell]));
    const cell = (name: string): string => cells.get(name) ?? '';
    return {
      pod: Number(cell('pod')),
      organization: cell('organization'),
      project: cell('project'),
      provider: cell('provider'),
      provider_kind: kindOf(cell('provider_kind')),
      sku: cell('sku'),
      gpu: cell('gpu'),
      gpus: Number(cell('gpus')),
      cost_per_hour_nano: BigInt(cell('cost_per_hour_nano')),
      start_s: Number(cell('start_s')),
      end_s: Number(cell('end_s')),
    };
  });
}

function kindOf(name: string): ProviderKind {
  const kind = providerKinds.find((k) => k === name);
  if (!kind) throw new Error(`no kind of provider: ${name}`);
  return kind;
}

/** Who is who in the replay: names of the record to what the rooms know. */
export interface Cast {
  readonly projects: ReadonlyMap<string, Tenant>;
  readonly providers: ReadonlyMap<string, string>;
}

/**
 * Lives the month: each lease sets its money aside, is metered in pieces as uneven as those of a busy worker, and settles at its end;
 * those that run on beyond the month are metered across its end.
 */
export async function liveTheMonth(till: Till, cast: Cast, leases: readonly RecordedLease[]): Promise<void> {
  const tenants = [...new Set(leases.map((l) => l.organization))];
  await Promise.all(
    tenants.map((name) =>
      liveOne(
        till,
        cast,
        leases.filter((l) => l.organization === name),
      ),
    ),
  );
}

async function liveOne(till: Till, cast: Cast, leases: readonly RecordedLease[]): Promise<void> {
  const random = new SeededRandom('the month');
  for (const lease of leases) {
    const tenant = cast.projects.get(`${lease.organization}/${lease.project}`);
    const providerId = cast.providers.get(lease.provider);
    if (!tenant || providerId === undefined) throw new Error(`nobody plays ${lease.organization} or ${lease.provider}`);
    const perHour = chargePerHour(lease.cost_per_hour_nano, MARGIN_BPS[lease.provider_kind] ?? 0);
    const booted = MONTH_START + lease.start_s * 1_000;
    const ended = Math.min(MONTH_START + lease.end_s * 1_000, MONTH_END + HOUR);
    const accepted = Math.min(booted + (lease.pod % LONGEST_PROBE_S) * 1_000, ended);
    const hold = await till.tx((tx) =>
      till.holds.take(tx, { ...tenant, amountNano: perHour * BigInt(Math.ceil((ended - booted) / HOUR)) + 1n }),
    );
    const billed = (startMs: number, perHourNano: bigint, fromMs: number, toMs: number) =>
      toMs > Math.max(startMs, fromMs)
        ? { perHour: perHourNano, startMs, fromMs: Math.max(startMs, fromMs), toMs }
        : null;
    let fromMs = booted;
    for (const toMs of cuts(booted, ended, random)) {
      const interval = {
        leaseId: `lease_pod${lease.pod}`,
        ...tenant,
        jobId: null,
        providerId,
        holdId: hold.id,
        resource: `${lease.gpu} x ${lease.gpus}`,
        machine: { providerClass: lease.provider_kind, model: lease.gpu, sku: lease.sku },
        charge: billed(accepted, perHour, fromMs, toMs),
        cost: billed(booted, lease.cost_per_hour_nano, fromMs, toMs),
      };
      await till.tx((tx) => till.metering.leaseTime(tx, interval, toMs === ended));
      fromMs = toMs;
    }
  }
}

/** Where a lease's time is cut: at one to six moments, the last of them its end. */
function cuts(fromMs: number, toMs: number, random: SeededRandom): number[] {
  const inside = Array.from({ length: random.int(0, 5) }, () => random.int(fromMs + 1, toMs));
  return [...new Set([...inside, toMs])].sort((a, b) => a - b);
}
