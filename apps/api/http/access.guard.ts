import { Inject, Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { DomainError } from '#kernel';
import type { AgentRow } from '#compute/agents';
import { Tenancy, type Principal } from '#identity/tenancy';
import { RequestLimits } from './limits.js';
import { routeOf } from './serve.js';

/** Who an agent's credential belongs to; null for a wrong or dead one. */
export interface AgentDoor {
  authenticate(credential: string): Promise<AgentRow | null>;
}
export const AGENT_DOOR = Symbol('AgentDoor');

export interface Caller {
  readonly principal: Principal | null;
  readonly agent: AgentRow | null;
}

const CALLERS = new WeakMap<FastifyRequest, Caller>();

export function callerOf(request: FastifyRequest): Caller {
  return CALLERS.get(request) ?? { principal: null, agent: null };
}

/**
 * The one door. It runs for every handler, whatever the spelling of the path that led there, and decides from the
 * handler's own declaration; a handler without one is refused.
 */
@Injectable()
export class AccessGuard implements CanActivate {
  constructor(
    @Inject(Tenancy) private readonly tenancy: Tenancy,
    @Inject(AGENT_DOOR) private readonly agents: AgentDoor,
    @Inject(RequestLimits) private readonly limits: RequestLimits,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const http = context.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const spec = routeOf(context.getHandler());
    if (!spec) throw new Error(`${context.getClass().name}.${context.getHandler().name} declares no access`);
    if (spec.access === 'public') return true;

    await this.limits.checkWrongKeys(request);
    const secret = bearerOf(request);
    if (spec.access === 'agent') {
      const agent = await this.agents.authenticate(secret);
      if (!agent) {
        await this.limits.countWrongKey(request);
        throw unknownAgent();
      }
      CALLERS.set(request, { principal: null, agent });
      return true;
    }

    const principal = await this.principalOf(secret, request);
    await this.limits.countKey(principal.keyId, http.getResponse<FastifyReply>());
    if (!spec.access.roles.includes(principal.role)) throw lacksRole(principal.role, spec.access.roles);
    CALLERS.set(request, { principal, agent: null });
    return true;
  }

  private async principalOf(secret: string, request: FastifyRequest): Promise<Principal> {
    try {
      return await this.tenancy.authenticate(secret);
    } catch (error) {
      if (error instanceof DomainError && error.kind === 'unauthenticated') await this.limits.countWrongKey(request);
      throw error;
    }
  }
}

/** The key is taken from one header only; a key in a URL ends up in logs and histories. */
function bearerOf(request: FastifyRequest): string {
  const header = request.headers.authorization;
  if (header === undefined) {
    throw new DomainError('unauthenticated', 'key-missing', 'This needs an API key.', {
      fix: 'Send `Authorization: Bearer <key>`.',
    });
  }
  const match = /^Bearer +([\x21-\x7e]{1,500})$/i.exec(header);
  if (!match?.[1]) {
    throw new DomainError('unauthenticated', 'invalid-authorization', 'The Authorization header is not understood.', {
      fix: 'Send `Authorization: Bearer <key>`.',
    });
  }
  return match[1];
}

function unknownAgent(): DomainError {
  return new DomainError('unauthenticated', 'invalid-credential', 'This agent credential is not known here.', {
    fix: 'Enrol again with a new token.',
  });
}

function lacksRole(role: string, roles: readonly string[]): DomainError {
  return new DomainError('forbidden', 'role-lacking', `A ${role} key may not do this.`, {
    fix: `Use a key with the role ${roles.join(' or ')}.`,
  });
}
