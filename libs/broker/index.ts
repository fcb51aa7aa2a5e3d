export { composeBroker, type Broker, type BrokerParts } from './compose.js';
