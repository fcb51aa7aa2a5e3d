import { DomainError, newId, notFound, StaleVersion, type Clock, type Random } from '#kernel';
import type { Offer } from '#contracts';
import { audit, type Author } from '#identity/audit';
import type { Tx } from '#platform/database';
import { reservations, reservationUses, type ReservationRow } from './reservations.table.js';

export interface NewReservation extends Pick<
  ReservationRow,
  'providerId' | 'region' | 'zone' | 'machines' | 'fromAt' | 'untilAt' | 'paidPerHour' | 'note'
> {
  readonly machine: { readonly sku: string } | { readonly accelerator: string; readonly gpusPerMachine: number };
}

/** A reservation and how many of its machines leases have now. */
export interface ReservationUse {
  readonly reservation: ReservationRow;
  readonly used: number;
}

type Covered = Pick<Offer, 'providerId' | 'sku' | 'accelerator' | 'count' | 'region' | 'zone' | 'pricing' | 'via'>;
type Covering = Pick<ReservationRow, 'providerId' | 'sku' | 'accelerator' | 'gpusPerMachine' | 'region' | 'zone'>;

/** Whether a machine of that offer is one of the reserved ones: capacity that may be taken away is never reserved. */
export function covers(reservation: Covering, offer: Covered): boolean {
  const { sku, accelerator, gpusPerMachine, zone } = reservation;
  return (
    offer.providerId === reservation.providerId &&
    offer.region === reservation.region &&
    offer.via.kind === 'market' &&
    offer.pricing !== 'spot' &&
    (zone === null || offer.zone === zone) &&
    (sku === null ? offer.accelerator === accelerator && offer.count === gpusPerMachine : offer.sku === sku)
  );
}

/** Machines that are paid for already: who has them, and which are free. */
export class Reservations {
  constructor(
    private readonly clock: Clock,
    private readonly random: Random,
  ) {}

  async add(tx: Tx, by: Author, of: NewReservation): Promise<ReservationRow> {
    const { machine, ...rest } = of;
    if (rest.untilAt <= rest.fromAt)
      throw new DomainError('invalid', 'reservation-ends-before-it-begins', 'The reservation ends before it begins.', {
        field: 'until',
      });
    const row: ReservationRow = {
      id: newId('reservation', this.clock.now(), this.random),
      ...rest,
      sku: 'sku' in machine ? machine.sku : null,
      accelerator: 'sku' in machine ? null : machine.accelerator,
      gpusPerMachine: 'sku' in machine ? null : machine.gpusPerMachine,
      state: 'open',
      createdAt: await tx.now(),
    };
    await tx.insert(reservations, row);
    await audit(tx, { by, organizationId: null, action: 'reservation.add', subject: row.id, after: row });
    return row;
  }

  async get(tx: Tx, id: string): Promise<ReservationRow> {
    const row = await tx.first(reservations, { id });
    if (!row) throw notFound('reservation', id);
    return row;
  }

  /** From now on no lease takes a machine of it. Ending it twice changes nothing. */
  async end(tx: Tx, by: Author, id: string): Promise<ReservationRow> {
    const before = await tx.first(reservations, { id }, { lock: 'update' });
    if (!before) throw notFound('reservation', id);
    if (before.state === 'ended') return before;
    const now = await tx.now();
    const untilAt = Math.max(before.fromAt, Math.min(before.untilAt, now));
    const [after] = await tx.update(reservations, { id, state: 'open' }, { state: 'ended', untilAt });
    if (!after) throw new StaleVersion('reservation', id);
    await audit(tx, { by, organizationId: null, action: 'reservation.end', subject: id, before, after });
    return after;
  }

  /**
   * Takes a machine of the first of these reservations that has one free, for a lease. The reservation stays locked until the
   * transaction ends, so that no two leases take the last one; null = all are full or over.
   */
  async claim(tx: Tx, ids: readonly string[], leaseId: string): Promise<ReservationRow | null> {
    const now = await tx.now();
    for (const id of ids) {
      const row = await tx.first(reservations, { id, state: 'open' }, { lock: 'update' });
      if (!row || row.fromAt > now || row.untilAt <= now) continue;
      if ((await tx.find(reservationUses, { reservationId: id }, { limit: row.machines })).length >= row.machines)
        continue;
      await tx.insert(reservationUses, { leaseId, reservationId: id });
      return row;
    }
    return null;
  }

  /** The lease has ended: its machine is free for the next. */
  async release(tx: Tx, leaseId: string): Promise<void> {
    await tx.remove(reservationUses, { leaseId });
  }
}

/** The reservations in force, with their uses; one statement where there are none. */
export async function reservedNow(tx: Tx): Promise<ReservationUse[]> {
  const now = await tx.now();
  const open = await tx.find(
    reservations,
    { state: 'open', fromAt: { lte: now }, untilAt: { gt: now } },
    { orderBy: [['untilAt', 'asc']] },
  );
  return withUses(tx, open);
}

export async function withUses(tx: Tx, rows: readonly ReservationRow[]): Promise<ReservationUse[]> {
  if (rows.length === 0) return [];
  const used = new Map<string, number>();
  for (const { reservationId } of await tx.find(reservationUses, { reservationId: { in: rows.map((r) => r.id) } }))
    used.set(reservationId, (used.get(reservationId) ?? 0) + 1);
  return rows.map((reservation) => ({ reservation, used: used.get(reservation.id) ?? 0 }));
}

/** The reservations in force that have a machine of that offer free, in the order to ask them. */
export async function freeFor(tx: Tx, offer: Covered): Promise<string[]> {
  const free = (await reservedNow(tx)).filter(({ reservation, used }) => used < reservation.machines);
  return free.flatMap(({ reservation }) => (covers(reservation, offer) ? reservation.id : []));
}
