export { testDatabase, type TestDatabase } from './database.js';
export { hasRedis, testRedis } from './redis.js';
