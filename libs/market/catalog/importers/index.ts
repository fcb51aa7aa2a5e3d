export { importAws } from './aws.js';
export { decodeAzureSize, type AzureSize } from './azure-sku.js';
export { importAzure } from './azure.js';
export { importFsdlCloud, importFsdlServerless } from './fsdl.js';
export { importGcp } from './gcp.js';
export { importGpuPricing } from './gpu-pricing.js';
export type { ImportResult, SkippedLine } from './offer-list.js';
export { readSnapshot, snapshotText } from './snapshot.js';
