export { changeOf, refusal, type Instead, type QuoteChange, type Today } from './changes.js';
export { stateOf, toQuoteView } from './quote-view.js';
export {
  QUOTE_LEASE_MS,
  QUOTE_OPEN_MS,
  Quotes,
  requireOneMachine,
  type QuotedMachine,
  type QuotesDeps,
} from './quotes.service.js';
export { quotes, type QuoteRow } from './quotes.table.js';
