export { Hosts, type Devices, type NewHost } from './hosts.service.js';
export { HostPort } from './host-port.js';
export { hostOffers } from './host-offers.js';
export { GPU_SHARES, MOST_TIME_SLICES, startedGpus } from './gpu-parts.js';
export { hosts, slots, type HostRow, type HostState, type SlotRow } from './hosts.table.js';
