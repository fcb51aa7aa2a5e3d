export { burn, checkpointDue, graceUntil, renewalFor, renewHolds } from './renewal.js';
export {
  Leases,
  resourceOf,
  unmeteredCharge,
  leasedOffer,
  offerOfLease,
  warmOffer,
  type NewLease,
} from './leases.service.js';
export { LeaseReconciler, type LeaseReconcilerDeps } from './leases.reconciler.js';
export { sweepOrphans, type OrphanReport } from './orphans.js';
export { defaultLeaseTimes, probe, type LeaseTimes } from './decide.js';
export {
  leases,
  leaseAttempts,
  leaseMachine,
  leaseStates,
  endReasons,
  type LeaseRow,
  type LeaseState,
  type LeaseAttemptRow,
  type LeasedOffer,
  type EndReason,
} from './leases.table.js';
