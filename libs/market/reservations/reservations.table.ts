import { table } from '#platform/database';

/** Machines of one provider and place that are paid for whether they are used or not, for a time. */
export interface ReservationRow {
  id: string;
  providerId: string;
  /** Either the vendor's name of the machine, or the accelerator and how many of them each machine has. */
  sku: string | null;
  accelerator: string | null;
  gpusPerMachine: number | null;
  region: string;
  /** Null: any zone of the region. */
  zone: string | null;
  machines: number;
  fromAt: number;
  /** Where it was ended early, that moment. */
  untilAt: number;
  /** What each machine costs, used or not: nothing is booked by it, the report compares it with what was earned. */
  paidPerHour: bigint;
  note: string;
  state: 'open' | 'ended';
  createdAt: number;
}

export const reservations = table<ReservationRow>(
  'reservations',
  {
    id: 'text',
    providerId: 'text',
    sku: 'text',
    accelerator: 'text',
    gpusPerMachine: 'int',
    region: 'text',
    zone: 'text',
    machines: 'int',
    fromAt: 'time',
    untilAt: 'time',
    paidPerHour: 'bigint',
    note: 'text',
    state: 'text',
    createdAt: 'time',
  },
  { key: ['id'] },
);

/** A machine of a reservation that a lease has; gone with the lease's end. */
export interface ReservationUseRow {
  leaseId: string;
  reservationId: string;
}

export const reservationUses = table<ReservationUseRow>(
  'reservation_uses',
  { leaseId: 'text', reservationId: 'text' },
  { key: ['leaseId'] },
);
