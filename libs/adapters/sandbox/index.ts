export { SandboxProvider, type SandboxProviderOptions } from './provider.js';
