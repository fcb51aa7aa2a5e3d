import { randomUUID } from 'node:crypto';
import { addCredit, answerOf, brokerClient, createOrganization, getBalance, type Client } from '#client';
import { keyWorks } from './key-works.js';
import { readState, writeState, type LocalTenant } from './state.js';

/** What the local tenant is given, nano-dollars: $25. */
const GRANT = '25000000000';
/** Topped up by as much when less than $5 is left. */
const LOW = 5_000_000_000n;

export interface PreparedTenant {
  readonly tenant: LocalTenant;
  readonly client: Client;
  readonly origin: 'new' | 'kept' | 'topped-up';
  /** Nano-dollars that can be spent. */
  readonly available: string;
}

/**
 * The tenant of this machine's broker: made once with $25, reused, topped up when it runs low. Safe to be killed anywhere:
 * the request is named before it is sent, so a second run gets the same organization and key, and no grant counts twice.
 */
export async function prepareTenant(home: string, url: string, platformKey: string): Promise<PreparedTenant> {
  const platform = brokerClient({ url, key: platformKey });
  const grant = (tenant: LocalTenant, reference: string) =>
    answerOf(
      addCredit({
        client: platform,
        body: { organizationId: tenant.organizationId, amountNano: GRANT, kind: 'grant', reference },
      }),
    );
  const kept = readState(home).demo;
  const works = kept !== undefined && (await keyWorks(url, kept.key));
  const tenant = works ? kept : await create(home, platform);
  const client = brokerClient({ url, key: tenant.key });
  const origin: PreparedTenant['origin'] = works ? 'kept' : 'new';
  // The same reference counts once: this also mends a run that was killed between tenant and credit.
  await grant(tenant, 'demo start');
  const before = await answerOf(getBalance({ client }));
  if (BigInt(before.available) >= LOW) return { tenant, client, origin, available: before.available };
  await grant(tenant, `demo top-up at ${before.balance}`);
  const { available } = await answerOf(getBalance({ client }));
  return { tenant, client, origin: 'topped-up', available };
}

async function create(home: string, platform: Client): Promise<LocalTenant> {
  const asked = readState(home).demoRequest ?? randomUUID();
  writeState(home, { demoRequest: asked });
  const { organization, project, key } = await answerOf(
    createOrganization({
      client: platform,
      body: { name: 'demo', kind: 'tenant', keyName: 'demo' },
      headers: { 'Idempotency-Key': asked },
    }),
  );
  if (project === null || key === null) throw new Error('the broker made a tenant without a project or key');
  const tenant = { organizationId: organization.id, projectId: project.id, key: key.secret };
  writeState(home, { demo: tenant, demoRequest: undefined });
  return tenant;
}
