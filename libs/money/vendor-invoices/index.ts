export {
  readVendorInvoice,
  vendorFormats,
  type LineProblem,
  type VendorFormat,
  type VendorLine,
} from './read/index.js';
export {
  comparisonKinds,
  match,
  type Comparison,
  type ComparisonKind,
  type LeasedMachine,
  type MeteredCost,
  type Tolerance,
} from './match.js';
