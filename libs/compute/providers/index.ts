export { Vendors, type VendorBinding } from './vendors.js';
export { Providers, type NewProvider } from './providers.service.js';
export { providers, type ProviderRow } from './providers.table.js';
export { providersToPay } from './to-pay.js';
