export { Hosts, type NewHost } from './hosts.service.js';
export { HostPort } from './host-port.js';
export { hostOffers } from './host-offers.js';
export { hosts, slots, type HostRow, type HostState, type SlotRow } from './hosts.table.js';
