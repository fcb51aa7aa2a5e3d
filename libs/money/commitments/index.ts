export { CommitmentReconciler } from './commitment.reconciler.js';
