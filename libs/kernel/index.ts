export * from './money.js';
export * from './ids.js';
export * from './clock.js';
export * from './errors.js';
export * from './machine.js';
export * from './random.js';
export * from './gather.js';
export * from './csv.js';
