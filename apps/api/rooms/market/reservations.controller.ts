import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { DomainError, notFound } from '#kernel';
import { idOf, isoTime, nanoUsdText } from '#contracts';
import { Leases } from '#compute/leases';
import { providers } from '#compute/providers';
import { authorOf } from '#identity/audit';
import { reservations, withUses, type ReservationUse } from '#market/reservations';
import { earnedOn } from '#money/margins';
import { WORKER, type Store, type Tx } from '#platform/database';
import { route, type Call } from '../../http/route.js';
import { Serve } from '../../http/serve.js';
import { STORE } from '../../tokens.js';
import { knownAccelerator, requireCovered } from './reserved-machine.js';
import { nameText, timeText } from '../shapes.js';

const HOUR_MS = 3_600_000n;

const reservationSchema = z
  .object({
    id: z.string(),
    providerId: z.string(),
    sku: z.string().nullable(),
    accelerator: z.string().nullable().describe('Where machines are named by what they have instead of by SKU'),
    gpusPerMachine: z.int().nullable(),
    region: z.string(),
    zone: z.string().nullable().describe('Null: any zone of the region'),
    machines: z.int(),
    used: z.int().describe('Machines that leases have now'),
    from: isoTime,
    until: isoTime.describe('Where it was ended early, that moment'),
    state: z.enum(['planned', 'active', 'over']),
    paidPerHour: nanoUsdText.describe('For each machine, used or not'),
    paid: nanoUsdText.describe('For all machines until now; paid elsewhere and no part of the ledger'),
    earned: nanoUsdText.describe('What tenants were charged for the time of its machines'),
    margin: nanoUsdText.describe('Earned less paid'),
    note: z.string(),
    createdAt: isoTime,
  })
  .meta({ id: 'Reservation' });

const tag = 'Administration';
const access = { roles: ['platform-admin'] } as const;
const params = z.strictObject({ id: idOf('reservation') });
const vendorText = z.string().trim().min(1).max(120);

const listReservations = route({
  method: 'GET',
  path: '/v1/admin/reservations',
  tag,
  name: 'listReservations',
  summary: 'List machines that are paid for in advance, and how far they are used',
  access,
  returns: reservationSchema,
  page: true,
});

const getReservation = route({
  method: 'GET',
  path: '/v1/admin/reservations/{id}',
  tag,
  name: 'getReservation',
  summary: 'Show a reservation',
  access,
  params,
  returns: reservationSchema,
});

const addReservation = route({
  method: 'POST',
  path: '/v1/admin/reservations',
  tag,
  name: 'addReservation',
  summary: 'Say that machines of a provider are paid for in advance',
  description:
    'Nothing is bought by it. While some are free, placement takes them as if they cost nothing more, and their leases have no cost; tenants are charged as ever.',
  access,
  body: z
    .strictObject({
      providerId: idOf('provider'),
      sku: vendorText
        .optional()
        .describe('The vendor’s name of the machine; or say `accelerator` and `gpusPerMachine`'),
      accelerator: vendorText.optional(),
      gpusPerMachine: z.int().min(1).max(64).optional(),
      region: vendorText,
      zone: vendorText.optional(),
      machines: z.int().min(1).max(100_000),
      from: isoTime.optional().describe('Default: now'),
      until: isoTime,
      paidPerHour: z
        .string()
        .regex(/^\d{1,30}$/, 'must be whole nano-dollars of 0 or more')
        .describe('For each machine, used or not'),
      note: nameText.describe('Where it comes from: a one-year or three-year commitment, an order'),
    })
    .meta({ id: 'NewReservation' }),
  returns: reservationSchema,
  creates: true,
});

const endReservation = route({
  method: 'DELETE',
  path: '/v1/admin/reservations/{id}',
  tag,
  name: 'endReservation',
  summary: 'End a reservation',
  description:
    'It stays in the list. No lease takes a machine of it any more; those that have one cost their price from now on.',
  access,
  params,
  returns: reservationSchema,
});

@Controller()
export class ReservationsController {
  constructor(
    @Inject(STORE) private readonly store: Store,
    @Inject(Leases) private readonly leases: Leases,
  ) {}

  @Serve(listReservations)
  list({ page }: Call<typeof listReservations>) {
    return this.store.transaction(WORKER, async (tx) => {
      const rows = await tx.find(reservations, {}, { orderBy: [['id', 'asc']], ...page.order });
      const shown = await show(tx, await withUses(tx, rows));
      return page.answer(
        shown,
        (row) => [row.id],
        (row) => row,
      );
    });
  }

  @Serve(getReservation)
  get({ params: { id } }: Call<typeof getReservation>) {
    return this.store.transaction(WORKER, async (tx) => this.one(tx, id));
  }

  @Serve(addReservation)
  add(call: Call<typeof addReservation>) {
    const { sku, accelerator, gpusPerMachine, from, until, zone, paidPerHour, ...rest } = call.body;
    const machine =
      sku !== undefined && accelerator === undefined && gpusPerMachine === undefined
        ? { sku }
        : sku === undefined && accelerator !== undefined && gpusPerMachine !== undefined
          ? { accelerator: knownAccelerator(accelerator), gpusPerMachine }
          : null;
    if (!machine)
      throw new DomainError(
        'invalid',
        'reservation-of-what',
        'Say either a SKU, or an accelerator and GPUs per machine.',
        {
          field: 'sku',
        },
      );
    return this.store.transaction(WORKER, async (tx) => {
      const provider = await tx.first(providers, { id: rest.providerId });
      if (!provider) throw notFound('provider', rest.providerId);
      if (provider.adapter === 'host')
        throw new DomainError(
          'conflict',
          'nothing-to-reserve',
          'Registered machines belong to whoever registered them.',
        );
      await requireCovered(tx, { ...rest, machine, zone: zone ?? null });
      const now = await tx.now();
      const { id } = await this.leases.reservations.add(tx, authorOf(call), {
        ...rest,
        machine,
        zone: zone ?? null,
        fromAt: from === undefined ? now : Date.parse(from),
        untilAt: Date.parse(until),
        paidPerHour: BigInt(paidPerHour),
      });
      return this.one(tx, id);
    });
  }

  @Serve(endReservation)
  end(call: Call<typeof endReservation>) {
    return this.store.transaction(WORKER, async (tx) => {
      const ended = await this.leases.reservations.end(tx, authorOf(call), call.params.id);
      await this.leases.endReserved(tx, ended);
      return this.one(tx, ended.id);
    });
  }

  private async one(tx: Tx, id: string) {
    const row = await this.leases.reservations.get(tx, id);
    const [shown] = await show(tx, await withUses(tx, [row]));
    if (!shown) throw notFound('reservation', id);
    return shown;
  }
}

async function show(tx: Tx, of: readonly ReservationUse[]) {
  const now = await tx.now();
  const earnedBy = await earnedOn(
    tx,
    of.map(({ reservation }) => reservation.id),
  );
  return of.map(({ reservation, used }) => {
    const { fromAt, untilAt, paidPerHour, state, createdAt, ...row } = reservation;
    const heldMs = BigInt(Math.max(0, Math.min(now, untilAt) - fromAt));
    const paid = (paidPerHour * BigInt(row.machines) * heldMs) / HOUR_MS;
    const earned = earnedBy.get(row.id) ?? 0n;
    return {
      ...row,
      used,
      from: timeText(fromAt),
      until: timeText(untilAt),
      state:
        state === 'ended' || untilAt <= now
          ? ('over' as const)
          : fromAt > now
            ? ('planned' as const)
            : ('active' as const),
      paidPerHour: String(paidPerHour),
      paid: String(paid),
      earned: String(earned),
      margin: String(earned - paid),
      createdAt: timeText(createdAt),
    };
  });
}
