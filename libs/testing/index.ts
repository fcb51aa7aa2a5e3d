export { testDatabase, type TestDatabase } from './database.js';
export { hasRedis, testRedis } from './redis.js';
export { patient, specStores, type SpecStore, type SpecStoreKind } from './stores.js';
export { NOW, attemptWith, factsWith, gpu, leaseWith, machineWith } from './leases.js';
