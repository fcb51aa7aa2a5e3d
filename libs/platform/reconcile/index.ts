export { Awake } from './awake.js';
export { events, type EventRow } from './events.js';
export { transition, type Reconciled } from './transition.js';
export { ReconcileLoop, type Reconciler, type LoopReport, type WakeQueue } from './loop.js';
