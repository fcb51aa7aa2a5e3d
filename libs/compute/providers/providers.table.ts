import { table } from '#platform/database';
import type { ProviderKind } from '#contracts';

export interface ProviderRow {
  id: string;
  organizationId: string;
  name: string;
  kind: ProviderKind;
  /** Which port implementation reaches it: 'host' for machines registered through agents, else an adapter's name. */
  adapter: string;
  state: 'pending' | 'active' | 'paused' | 'suspended';
  marginBps: number;
  settings: Record<string, unknown>;
  createdAt: number;
}

export const providers = table<ProviderRow>(
  'providers',
  {
    id: 'text',
    organizationId: 'text',
    name: 'text',
    kind: 'text',
    adapter: 'text',
    state: 'text',
    marginBps: 'int',
    settings: 'json',
    createdAt: 'time',
  },
  { key: ['id'], unique: [['organizationId', 'name']] },
);
