import { CreateBroker1763700000000 } from './1763700000000-CreateBroker.js';

/** In the order of their timestamps; a released migration is never edited. */
export const migrations = [CreateBroker1763700000000];
