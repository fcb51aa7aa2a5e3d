export {
  covers,
  freeFor,
  reservedNow,
  Reservations,
  withUses,
  type NewReservation,
  type ReservationUse,
} from './reservations.js';
export { reservations, reservationUses, type ReservationRow, type ReservationUseRow } from './reservations.table.js';
