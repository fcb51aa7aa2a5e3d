import { table } from '#platform/database';
import type { HostFacts } from '#contracts';

export interface AgentRow {
  id: string;
  kind: 'host' | 'lease';
  /** Whose machine it is: the provider's organization for hosts, the tenant's for rented machines. */
  organizationId: string;
  hostId: string | null;
  leaseId: string | null;
  state: 'invited' | 'enrolled' | 'gone';
  tokenHash: string | null;
  tokenExpiresAt: number | null;
  credentialHash: string | null;
  lastSeq: number;
  lastSeenAt: number | null;
  facts: HostFacts | null;
  telemetry: unknown;
  createdAt: number;
}

export const agents = table<AgentRow>(
  'agents',
  {
    id: 'text',
    kind: 'text',
    organizationId: 'text',
    hostId: 'text',
    leaseId: 'text',
    state: 'text',
    tokenHash: 'text',
    tokenExpiresAt: 'time',
    credentialHash: 'text',
    lastSeq: 'int',
    lastSeenAt: 'time',
    facts: 'json',
    telemetry: 'json',
    createdAt: 'time',
  },
  { key: ['id'], unique: [['tokenHash'], ['credentialHash']] },
);
