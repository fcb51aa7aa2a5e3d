export * from './wire.js';
export * from './offer.js';
export * from './workload.js';
export * from './placement.js';
export * from './provider-port.js';
export * from './agent-protocol.js';
export * from './job.js';
export * from './batch.js';
