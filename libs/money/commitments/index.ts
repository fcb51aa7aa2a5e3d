export { chargedInHours } from './charged.js';
export { CommitmentReconciler } from './commitment.reconciler.js';
