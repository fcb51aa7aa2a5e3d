export {
  Agents,
  LEASE_TOKEN_TTL_MS,
  HOST_TOKEN_TTL_MS,
  type AgentBell,
  type AgentSecrets,
  type OnEnrolled,
  type Sight,
  type WorkSource,
} from './agents.service.js';
export { agents, type AgentRow } from './agents.table.js';
