export * from './table.js';
export { MemoryStore, type StoreBackup } from './memory-store.js';
export { PgStore, PgTx, type PgRoles, type StatementCounts } from './pg-store.js';
export { sql, Sql, identifier, join } from './sql.js';
export { databaseRoles, migrate, openDataSource, roleUrl, type DatabaseRole } from './migrate.js';
export { openStore, type OpenStore } from './open.js';
export { Bell } from './bell.js';
export { Gather } from './gather.js';
export { Outbox, outbox, defaultOutboxTimes, type OutboxRow, type OutboxTimes } from './outbox.js';
