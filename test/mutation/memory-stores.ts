import { ManualClock } from '#kernel';
import { MemoryStore } from '#platform/database';

/** Stands in for `#testing` under mutation: what is mutated is TypeScript, and its twin in SQL would say nothing of that. */
export const specStores = [
  {
    name: 'in memory',
    open: async () => {
      const clock = new ManualClock(Date.UTC(2026, 10, 21));
      return { store: new MemoryStore(clock), clock, postgres: null, close: async () => undefined };
    },
  },
];
