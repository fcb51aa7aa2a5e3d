export * from './importers/index.js';
export { Catalog, type OfferFilter, type OfferSort } from './catalog.service.js';
export { offers, toOffer, type OfferRow } from './offers.table.js';
