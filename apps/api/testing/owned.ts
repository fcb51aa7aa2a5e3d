import { newId } from '#kernel';
import type { HostFacts } from '#contracts';
import { WORKER } from '#platform/database';
import { events } from '#platform/reconcile';
import { usageRecords, usageRow } from '#money/metering';
import { invoiceClosings, paymentCustomers, payments, paymentSetups } from '#money/payments';
import { leases, type LeaseRow } from '#compute/leases';
import { jobLogs, jobs, outputKey, resultKey, shards, type ShardRow } from '#work/jobs';
import { ownInvoices } from './owned-invoices.js';
import { ownVendorInvoices } from './owned-vendor-invoices.js';
import { ownPayouts } from './owned-payouts.js';
import type { TestApi } from './test-api.js';

/** Ids of things that belong to somebody, by what they are. */
export type Ids = Readonly<
  Record<
    | 'organizationId'
    | 'projectId'
    | 'keyId'
    | 'artifactId'
    | 'spareArtifactId'
    | 'batchJobId'
    | 'commandJobId'
    | 'runningJobId'
    | 'placementId'
    | 'quoteId'
    | 'leaseId'
    | 'commandLeaseId'
    | 'shardId'
    | 'commandShardId'
    | 'invoiceId'
    | keyof Awaited<ReturnType<typeof ownInvoices>>
    | keyof Awaited<ReturnType<typeof ownVendorInvoices>>
    | keyof Awaited<ReturnType<typeof ownPayouts>>
    | 'quotaId'
    | 'unattributedId'
    | 'paymentId'
    | 'setupId'
    | 'closingId'
    | 'providerOrganizationId'
    | 'hostId',
    string
  >
>;

/** A tenant with at least one of everything, two of everything that is listed, and a provider beside it. */
export interface Owner {
  readonly ids: Ids;
  readonly adminKey: string;
  /** A member key of a second project, in which there is nothing. */
  readonly otherProject: { readonly key: string; readonly projectId: string };
  readonly operatorKey: string;
  readonly leaseAgent: string;
  readonly hostAgent: string;
  readonly retiredAgent: string;
}

export const OUTPUT_PATH = 'out.txt';

export const facts: HostFacts = {
  hostname: 'spec',
  os: 'linux',
  arch: 'x64',
  vcpus: 4,
  cpuModel: 'spec',
  ramGiB: 16,
  diskFreeGiB: 10,
  gpus: [],
  gpuLink: 'none',
  agentVersion: '0',
  engines: [],
};

/** What its owner sends to make a batch job; the model is one that every agent serves. */
export function batchJob(projectId: string | undefined, inputArtifactId: string) {
  const spec = { kind: 'batch-inference', model: 'universal-sentence-encoder', inputArtifactId, linesPerShard: 1 };
  return { projectId, spec, maxCost: '1000000' };
}

export function commandJob(projectId: string | undefined, artifactId: string) {
  const spec = { kind: 'command', command: ['true'], inputs: [{ path: 'in', artifactId }], outputs: [OUTPUT_PATH] };
  return { projectId, spec, maxCost: '1000000' };
}

export async function openOwner(api: TestApi, name: string): Promise<Owner> {
  const made = async (line: `${string} /${string}`, key: string, body?: unknown, headers?: Record<string, string>) => {
    const answer = await api.call(line, { key, body, ...(headers ? { headers } : {}) });
    if (answer.status >= 300) throw new Error(`${line}: ${JSON.stringify(answer.body)}`);
    return answer.body as Record<string, never>;
  };
  const { organizationId, projectId, key } = await api.tenant(name);
  const second = await made('POST /v1/projects', key, { name: 'second' });
  const member = await made('POST /v1/keys', key, { name: 'm', role: 'member', projectId: second['id'] });
  const mine = await made('POST /v1/keys', key, { name: 'mine', role: 'member', projectId });
  for (const reference of ['first', 'second'])
    await made('POST /v1/admin/credit', api.platformKey, { organizationId, amountNano: '1000000000', reference });
  const line = (id: string) =>
    JSON.stringify({
      custom_id: `${name}-${id}`,
      method: 'POST',
      url: '/v1/embeddings',
      body: { model: 'universal-sentence-encoder', input: id },
    });
  const artifact = await made(`POST /v1/artifacts?projectId=${projectId}`, key, `${line('a')}\n${line('b')}`, {
    'content-type': 'application/x-ndjson',
  });
  const spare = await made(`POST /v1/artifacts?projectId=${projectId}`, key, `${line('a')}\n${line('b')}`, {
    'content-type': 'application/x-ndjson',
  });
  const batch = await made('POST /v1/jobs', key, batchJob(projectId, artifact['id'] ?? ''));
  const command = await made('POST /v1/jobs', key, commandJob(projectId, artifact['id'] ?? ''));
  const running = await made('POST /v1/jobs', key, commandJob(projectId, artifact['id'] ?? ''));
  const placement = await made('POST /v1/placements/preview', key, { projectId, workload: {} });
  const jobIds = [String(batch['id']), String(command['id']), String(running['id'])] as [string, string, string];
  const work = await runOnMachines(api, { organizationId, projectId, jobIds, placementId: placement['id'] ?? '' });
  const invoice = (await made('GET /v1/invoices', key))['items'] as unknown as { id: string }[];

  const quota = await made('PUT /v1/admin/quotas', api.platformKey, {
    scope: 'project',
    scopeId: projectId,
    dimension: 'gpus',
    limit: '1000',
  });
  for (const id of ['first', 'second'])
    await made('POST /v1/usage/events', key, {
      specversion: '1.0',
      id,
      source: '/spec',
      type: 'spec',
      time: new Date().toISOString(),
      data: { meter: 'requests', quantity: 1 },
    });
  const unattributed = (await made('GET /v1/usage/unattributed', key))['items'] as unknown as { id: string }[];
  const provider = await made('POST /v1/organizations', api.platformKey, {
    name: `${name} hosts`,
    kind: 'provider',
    keyName: 'op',
  });
  const operatorKey = String((provider['key'] as unknown as { secret: string }).secret);
  const hosts = [];
  for (const host of ['h1', 'h2'])
    hosts.push(await made('POST /v1/hosts', operatorKey, { name: host, pricePerSlotHour: '1000' }));
  const providerOrganizationId = String((provider['organization'] as unknown as { id: string }).id);
  const earned = await ownPayouts(api, { organizationId, projectId, providerOrganizationId });
  const enrolled = await api.call('POST /agent/v1/enroll', { body: { token: hosts[0]?.['enrolToken'], facts } });
  // The first rentable machine is the enrolled host's.
  const quotes = [];
  for (let n = 0; n < 2; n++)
    quotes.push(String((await made('POST /v1/quotes', key, { projectId, workload: {} }))['id']));
  return {
    ids: {
      organizationId,
      projectId,
      keyId: String(mine['id']),
      artifactId: String(artifact['id']),
      spareArtifactId: String(spare['id']),
      batchJobId: jobIds[0],
      commandJobId: jobIds[1],
      runningJobId: jobIds[2],
      placementId: String(placement['id']),
      quoteId: quotes[0] ?? '',
      leaseId: work.leaseId,
      commandLeaseId: work.commandLeaseId,
      shardId: work.shardId,
      commandShardId: work.commandShardId,
      invoiceId: invoice[0]?.id ?? '',
      ...work.billed,
      unattributedId: unattributed[0]?.id ?? '',
      quotaId: String((quota['quota'] as unknown as { id: string }).id),
      ...(await payByCard(api, organizationId, invoice[0]?.id ?? '')),
      ...(await ownVendorInvoices(api)),
      providerOrganizationId,
      ...earned,
      hostId: String((hosts[0]?.['host'] as unknown as { id: string }).id),
    },
    adminKey: key,
    otherProject: { key: String(member['secret']), projectId: String(second['id']) },
    operatorKey,
    leaseAgent: work.leaseAgent,
    hostAgent: String(enrolled.body['credential']),
    retiredAgent: work.retiredAgent,
  };
}

/** What a card would have done by now: two payments, and a page for leaving another. */
async function payByCard(api: TestApi, organizationId: string, invoiceId: string) {
  const now = Date.now();
  const effect = () => ({
    organizationId,
    version: 3,
    wakeAt: null,
    attempt: 1,
    keyAt: now,
    failures: 0,
    spent: false,
    code: null,
    message: null,
    createdAt: now,
  });
  const card = { customerId: `cus_${organizationId}`, methodId: 'pm_secret' };
  const ids = [newId('payment'), newId('payment')] as const;
  const setupId = newId('setup');
  const closingId = newId('closing');
  await api.ground.store.transaction(WORKER, async (tx) => {
    await tx.insert(paymentCustomers, {
      organizationId,
      ...card,
      attempt: 1,
      keyAt: now,
      methodBrand: 'visa',
      methodLast4: '4242',
      methodExpMonth: 12,
      methodExpYear: 2030,
      rechargeOn: false,
      rechargeBelowNano: 0n,
      rechargeCents: 0n,
      rechargeMonthCents: 0n,
      rechargeDeclines: 0,
      rechargeNotBefore: null,
      rechargeOffReason: null,
      createdAt: now,
    });
    for (const id of ids) {
      const amounts = { amountCents: 100n, capturedCents: 100n, refundedCents: 0n, feeCents: 3n };
      const over = { slot: null, settledAt: now, invoiceId: null, pushedId: null, processorId: `pi_${id}` };
      await tx.insert(payments, { id, ...effect(), ...card, kind: 'top-up', state: 'settled', ...amounts, ...over });
    }
    const page = {
      successUrl: 'https://secret',
      cancelUrl: 'https://secret',
      url: 'https://secret',
      processorId: 'cs',
    };
    const closing = { invoiceId, pushedId: `in_${closingId}`, closeAs: 'void', state: 'refused' } as const;
    await tx.insert(invoiceClosings, { id: closingId, ...effect(), processorId: null, ...closing });
    await tx.insert(paymentSetups, { id: setupId, ...effect(), state: 'open', ...page });
  });
  return { paymentId: ids[1], setupId, closingId };
}

/** What workers and agents would have done by now: two leases, finished and running shards, results, logs, usage. */
async function runOnMachines(
  api: TestApi,
  of: { organizationId: string; projectId: string; jobIds: [string, string, string]; placementId: string },
) {
  const { broker, store } = api.ground;
  const { organizationId, projectId, placementId } = of;
  const [batchId, commandId, runningId] = of.jobIds;
  const now = Date.now();
  const agentOf = async (leaseId: string) => {
    const invited = await store.transaction(WORKER, (tx) => broker.agents.invite(tx, { organizationId, leaseId }));
    return broker.agents.enrol(invited.token, facts, () => Promise.resolve());
  };
  const [leaseId, commandLeaseId] = [newId('lease'), newId('lease')];
  const agent = await agentOf(leaseId);
  const retired = await agentOf(leaseId);
  await store.transaction(WORKER, (tx) => broker.agents.retire(tx, retired.agentId));
  const lease = (id: string, jobId: string): LeaseRow => leaseRow({ id, jobId, agentId: agent.agentId, ...of, now });
  const own = await store.transaction(WORKER, async (tx) => {
    await tx.insert(leases, [lease(leaseId, batchId), lease(commandLeaseId, runningId)]);
    const cut = await tx.find(shards, { jobId: { in: of.jobIds } }, { orderBy: [['n', 'asc']] });
    const [first, second] = cut.filter((s) => s.jobId === batchId) as [ShardRow, ShardRow];
    const [left] = cut.filter((s) => s.jobId === commandId) as [ShardRow];
    const [busy] = cut.filter((s) => s.jobId === runningId) as [ShardRow];
    const done = { state: 'done', fence: 1, leaseId, resultKey: resultKey(first, 1) } as const;
    await tx.update(shards, { id: first.id }, done);
    await tx.update(shards, { id: left.id }, { ...done, resultKey: null });
    await tx.update(shards, { id: second.id }, { state: 'assigned', fence: 1, leaseId });
    await tx.update(shards, { id: busy.id }, { state: 'assigned', fence: 1, leaseId: commandLeaseId });
    for (const [id, on] of [
      [batchId, leaseId],
      [runningId, commandLeaseId],
    ] as const)
      await tx.update(jobs, { id }, { state: 'running', leaseId: on, placementId, startedAt: now, version: 3 });
    const base = { organizationId, projectId };
    for (const n of [2, 3]) {
      const event = { type: 'job.running', fromState: 'queued', toState: 'running', message: 'm', at: now };
      await tx.insert(events, { subjectId: batchId, n, ...base, ...event });
      const log = { at: now + n, stream: 'stdout' as const, text: 'secret of the tenant' };
      await tx.insert(jobLogs, { workId: second.id, fence: 1, n, ...base, jobId: batchId, ...log });
    }
    await tx.insert(
      usageRecords,
      usageRow({
        id: newId('usage'),
        key: `${leaseId}:spec`,
        ...base,
        leaseId,
        jobId: batchId,
        providerId: 'prv_spec',
        meter: 'lease-time',
        side: 'charge',
        resource: 'CPU x 4',
        fromAt: now - 1_000,
        toAt: now,
        quantity: 1_000n,
        unitPriceNano: 1n,
        amountNano: 5n,
        transactionId: null,
        createdAt: now,
      }),
    );
    await broker.prices.commit(tx, {
      organizationId,
      per: 'month',
      amountNano: 1n,
      discountBps: 1,
      endsAt: now + 1_000_000_000,
    });
    const billed = await ownInvoices(tx, { organizationId, projectId, now });
    return { first, second, left, busy, billed };
  });
  const { objects } = broker.artifacts;
  await objects.put(resultKey(own.first, 1), Buffer.from('{"custom_id":"secret result"}\n'));
  await objects.put(outputKey(own.left, 1, OUTPUT_PATH), Buffer.from('secret output'));
  return {
    leaseId,
    commandLeaseId,
    shardId: own.second.id,
    commandShardId: own.busy.id,
    billed: own.billed,
    leaseAgent: agent.credential,
    retiredAgent: retired.credential,
  };
}

function leaseRow(of: {
  id: string;
  jobId: string;
  agentId: string;
  organizationId: string;
  projectId: string;
  placementId: string;
  now: number;
}): LeaseRow {
  const { id, jobId, agentId, organizationId, projectId, placementId, now } = of;
  return {
    id,
    organizationId,
    projectId,
    providerId: 'prv_spec',
    offerId: 'spec',
    offer: {
      id: 'spec',
      providerId: 'prv_spec',
      providerKind: 'hyperscaler',
      sku: 'cpu',
      region: 'r',
      country: null,
      accelerator: 'CPU',
      acceleratorVendor: 'cpu',
      count: 0,
      vramGiB: 0,
      interconnect: { intraNode: 'none', intraNodeGBps: null, interNode: 'unknown', interNodeGbps: null },
      vcpus: 4,
      ramGiB: 16,
      pricing: 'on-demand',
      billing: { minimumS: 0, incrementS: 1 },
      hostId: null,
    },
    placementId,
    jobId,
    holdId: null,
    agentId,
    state: 'ready',
    want: 'run',
    endReason: null,
    message: null,
    vendorId: id,
    attemptN: 1,
    costPerHour: 1n,
    chargePerHour: 1n,
    reservationId: null,
    reservedUntil: null,
    basisPerHour: null,
    chargeTerms: null,
    requestedAt: now,
    bootedAt: now,
    acceptedAt: now,
    idleSince: null,
    keepUntil: null,
    drainUntil: null,
    graceUntil: null,
    endedAt: null,
    chargedThrough: now,
    costThrough: now,
    stateSince: now,
    failures: 0,
    version: 1,
    wakeAt: null,
  };
}
