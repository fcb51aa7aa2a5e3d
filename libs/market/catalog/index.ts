export * from './importers/index.js';
