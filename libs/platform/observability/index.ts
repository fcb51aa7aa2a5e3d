export { createLogger, silentLogger, type Logger, type LoggerOptions, type LogFields } from './logger.js';
export { nestLogger } from './nest-logger.js';
export { withContext, currentContext, type Context } from './context.js';
export { continueTrace, formatTraceparent, parseTraceparent, type TraceContext } from './trace.js';
export { redactFields, redactText, REDACTED } from './redact.js';
export { createMetrics, type Metrics } from './metrics.js';
export { Repairs } from './repairs.js';
export { HealthRegistry, type HealthCheck, type HealthReport } from './health.js';
export { startOpsServer, type OpsServer } from './ops-server.js';
