export { describeProviderConformance } from './suite.js';
export { createRequest, vendorFaults } from './harness.js';
export type { ConformanceAbilities, ConformanceHarness, VendorFault } from './harness.js';
