export { Sizing } from './sizing.service.js';
export { cheapestFor, costOn, linkedAs, machinesFor, type ShapeCost } from './costs.js';
export { readPrices, type OfferWish, type PriceBook } from './price-book.js';
