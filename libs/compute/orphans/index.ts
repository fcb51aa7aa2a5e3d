export { OrphanSweep, type OrphanReport, type OrphanSweepDeps, type Swept } from './sweep.js';
export { Orphans, type OrphanStanding } from './orphans.service.js';
export { orphanReasons, orphans, sweepPauses, type OrphanReason, type OrphanRow } from './orphans.table.js';
