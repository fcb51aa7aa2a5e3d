import type { Provider } from '@nestjs/common';
import { Tenancy } from '#identity/tenancy';
import { HealthRegistry } from '#platform/observability';
import { deriveKey } from '#platform/secrets';
import { AGENT_DOOR, type AgentDoor } from './http/access.guard.js';
import type { Ground } from './ground.js';

export const GROUND = Symbol('Ground');

/** The rooms' services, built on this ground. One entry per class that a controller's constructor names. */
export function services(ground: Ground): Provider[] {
  const { store, secret, clock, random } = ground;
  const tenancy = new Tenancy({ store, pepper: deriveKey(secret, 'token-pepper'), clock, random });
  const noAgents: AgentDoor = { authenticate: () => Promise.resolve(null) };
  return [
    { provide: GROUND, useValue: ground },
    { provide: HealthRegistry, useValue: ground.health },
    { provide: Tenancy, useValue: tenancy },
    { provide: AGENT_DOOR, useValue: noAgents },
  ];
}
