export { explainDay, explainHours, type ExplainedDay, type ExplainedHour, type ExplainedLine } from './explain-day.js';
export { burn, checkpointDue, graceUntil, renewalFor, renewHolds } from './renewal.js';
export { Leases, unmeteredCharge, type NewLease } from './leases.service.js';
export { leasedOffer, offerOfLease, resourceOf, warmOffer } from './leased-offer.js';
export type { LeaseReconcilerDeps } from './driving/deps.js';
export { Ending as LeaseEnding } from './driving/ending.js';
export { Requesting as LeaseRequesting } from './driving/requesting.js';
export { Running as LeaseRunning } from './driving/running.js';
export { LeaseReconciler } from './leases.reconciler.js';
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
