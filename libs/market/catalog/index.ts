export * from './importers/index.js';
export { Catalog, type OfferFilter, type Admitted, type Relisted, type OfferSort } from './catalog.service.js';
export { importPriceList } from './import-list.js';
export type { CatalogChanges } from './changes.js';
export type { Published } from './writes.js';
export * from './changes.table.js';
export { quarantine, quarantinedOffers, release, type QuarantinedRow } from './quarantine.js';
export { forgetPriceEvents, historyOf, type HistoryFilter } from './history.js';
export { offers, toOffer, type OfferRow } from './offers.table.js';
