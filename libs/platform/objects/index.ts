export { openObjectStore } from './open.js';
export { checkObjectKey } from './object-key.js';
export type { ObjectBody, ObjectStore, PutOptions, StoredObject } from './object-store.js';
