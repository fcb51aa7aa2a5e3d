export { readConfig, isLoopback, type Config, type Environment } from './config.js';
export { ConfigError, type ConfigProblem } from './errors.js';
export { configVariables, describeConfig, type VariableDescription } from './describe.js';
export { loadOrCreateSecret } from './secret-file.js';
export { WORKER_ROLES, LOG_LEVELS, type WorkerRole, type LogLevel, type VariableName } from './variables.js';
export { VARIABLE_NAMES } from './variables.js';
