export type { Accelerator, AcceleratorForm, AcceleratorMaker, IntraNodeLink } from './accelerator.js';
export { accelerator, accelerators } from './accelerators.js';
export { acceleratorMatches, normalizeAccelerator, type NameHints } from './names.js';
