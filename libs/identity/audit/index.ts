export { audit, authorOf, BROKER, readAudit, type Act, type AuditFilter, type Author } from './audit.js';
export { auditLog, type AuditRow } from './audit.table.js';
