import { systemClock } from '#kernel';
import { MemoryStore } from './memory-store.js';
import { describeStoreContract } from './store.contract.js';

describeStoreContract('in memory', async () => new MemoryStore(systemClock));
