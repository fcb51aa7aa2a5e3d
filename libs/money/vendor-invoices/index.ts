export {
  readVendorInvoice,
  vendorFormats,
  type LineProblem,
  type VendorFormat,
  type VendorLine,
} from './read/index.js';
export {
  defaultTolerance,
  VendorInvoices,
  type NewVendorInvoice,
  type VendorMachines,
} from './vendor-invoices.service.js';
export {
  vendorComparisons,
  vendorInvoiceLines,
  vendorInvoices,
  type ComparisonRow,
  type VendorInvoiceLineRow,
  type VendorInvoiceRow,
} from './vendor-invoices.table.js';
export {
  comparisonKinds,
  match,
  type Comparison,
  type ComparisonKind,
  type LeasedMachine,
  type MeteredCost,
  type Tolerance,
} from './match.js';
