export { explainDay, explainHours, type ExplainedDay, type ExplainedHour, type ExplainedLine } from './explain-day.js';
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
export { slaCredit } from './book-end.js';
export { vendorMachines, type MachineOfLease } from './vendor-machines.js';
export { learnFromLeases } from './learning.js';
export { defaultLeaseTimes, isAlive, probe, type LeaseTimes } from './decide.js';
export {
  leases,
  leaseAttempts,
  leaseMachine,
  leaseStates,
  type AttemptState,
  endReasons,
  type LeaseRow,
  type LeaseState,
  type LeaseAttemptRow,
  type LeasedOffer,
  type EndReason,
} from './leases.table.js';
export { machineCost, machineCostOf } from './machine-cost.js';
