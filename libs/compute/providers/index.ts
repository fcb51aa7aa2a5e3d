export { Vendors, type VendorBinding } from './vendors.js';
export { Providers, type NewProvider } from './providers.service.js';
export { providers, type ProviderRow } from './providers.table.js';
export { providersToPay } from './to-pay.js';
export { Lister, type Listed, type ListerParts } from './lister.js';
export { defaultListingTimes, listingWaitMs, type ListingTimes } from './listing-times.js';
export { listings, newListing, type ListingRow } from './listings.table.js';
export { OFFERS_AT_MOST, readList } from './read-list.js';
