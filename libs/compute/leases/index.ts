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
export { vendorMachines, type VendorMachine } from './vendor-machines.js';
export { OrphanSweep, type OrphanReport, type OrphanSweepDeps, type Swept } from './orphans.js';
export { Orphans, type OrphanStanding } from './orphans.service.js';
export { orphanReasons, orphans, sweepPauses, type OrphanReason, type OrphanRow } from './orphans.table.js';
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
