export { composeBroker, type Broker, type BrokerParts } from './compose.js';
export { openBroker, type OpenBroker } from './open.js';
export { VendorBinder } from './vendor-binder.js';
