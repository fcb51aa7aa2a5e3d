import { DomainError } from '#kernel';
import { nearestAccelerators, normalizeAccelerator } from '#hardware';
import { offers, toOffer } from '#market/catalog';
import { covers, type NewReservation } from '#market/reservations';
import type { Tx } from '#platform/database';

/** The accelerator under the name that offers have; one that nobody knows would cover nothing. */
export function knownAccelerator(raw: string): string {
  const name = normalizeAccelerator(raw);
  if (name !== null) return name;
  const near = nearestAccelerators(raw);
  throw new DomainError('invalid', 'unknown-accelerator', `${raw} is no accelerator that Berth knows.`, {
    field: 'accelerator',
    fix: near.length > 0 ? `Did you mean ${near.join(', ')}?` : 'See `berth offers` for what there is.',
  });
}

const MOST_NAMED = 5;

/** Throws where the provider offers no such machine there: a reservation that covers nothing is a slip of the pen. */
export async function requireCovered(
  tx: Tx,
  of: Pick<NewReservation, 'providerId' | 'machine' | 'region' | 'zone'>,
): Promise<void> {
  const { providerId, machine, region, zone } = of;
  const reserved = {
    ...{ providerId, region, zone, sku: null, accelerator: null, gpusPerMachine: null },
    ...machine,
  };
  const listed = (await tx.find(offers, { providerId })).map(toOffer);
  if (listed.some((offer) => covers(reserved, offer))) return;
  const there = listed.filter((offer) => offer.region === region);
  const names = (all: readonly string[]): string => [...new Set(all)].sort().slice(0, MOST_NAMED).join(', ');
  throw new DomainError(
    'invalid',
    'reservation-covers-nothing',
    'No offer of that provider, region and zone is such a machine, spot apart.',
    {
      field: listed.length > 0 && there.length === 0 ? 'region' : 'sku' in machine ? 'sku' : 'accelerator',
      fix:
        listed.length === 0
          ? 'List the offers of the provider first.'
          : there.length === 0
            ? `It has offers in ${names(listed.map((offer) => offer.region))}.`
            : `In ${region} it has ${names(there.map(({ sku, accelerator, count }) => `${sku} (${count} x ${accelerator})`))}.`,
    },
  );
}
