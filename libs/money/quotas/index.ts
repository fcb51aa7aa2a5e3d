export { Holds, holdMachine, type HoldRequest } from './holds.service.js';
export { holds, type HoldRow, type HoldState } from './holds.table.js';
export { holdSettle } from './holds.procedures.js';
