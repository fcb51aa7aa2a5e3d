export { startSandbox, type RunningSandbox, type SandboxParts } from './start.js';
export { sandboxOptionsSchema, type SandboxOptions } from './options.js';
export type { AgentProcess, StartAgent } from './agents.js';
