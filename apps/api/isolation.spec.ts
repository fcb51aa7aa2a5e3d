import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { ID_PREFIXES, newId, usd, type IdKind } from '#kernel';
import type { Offer } from '#contracts';
import { Catalog } from '#market/catalog';
import { WORKER } from '#platform/database';
import { routes } from './controllers.js';
import type { RouteSpec } from './http/route.js';
import { batchJob, commandJob, OUTPUT_PATH, openOwner, type Ids, type Owner } from './testing/owned.js';
import { strayBill } from './testing/owned-vendor-invoices.js';
import { TestApi, type TestAnswer } from './testing/test-api.js';

/**
 * The isolation matrix (invariant 10): every route, with every id it takes, is asked for what belongs to somebody else. The
 * answer must be the one for an id that nobody has, and nothing may change. A route that is not in ATTEMPTS fails.
 */
interface Attempt {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}
interface Row {
  /** Requests that name ids; `project` is the caller's own. Without ids in them the answer must just show nothing. */
  readonly asks: (ids: Ids, project: string | undefined) => Attempt[];
  /** What the caller creates of its own with an Idempotency-Key that somebody else has used. */
  readonly creates?: (own: Ids) => Attempt;
  /** Ids of providers that the market shows to everybody. */
  readonly shows?: readonly (keyof Ids)[];
  /** True where what an id in the path names belongs to the market, and every key may read it. */
  readonly market?: boolean;
  /** True where keys of all projects of an organization may see it. */
  readonly sharedInOrganization?: boolean;
}

const ndjson = { 'content-type': 'application/x-ndjson' };
const none: Row = { asks: () => [{}] };
const byId = (id: keyof Ids, more: Attempt = {}): Row => ({ asks: (ids) => [{ params: { id: ids[id] }, ...more }] });
const everyJob = (more: Attempt = {}): Row => ({
  asks: (ids) => [ids.batchJobId, ids.commandJobId, ids.runningJobId].map((id) => ({ params: { id }, ...more })),
});
const jobBodies: Row['asks'] = (ids, project) => [
  { body: batchJob(ids.projectId, ids.artifactId) },
  { body: batchJob(project, ids.artifactId) },
  { body: commandJob(ids.projectId, ids.artifactId) },
  { body: commandJob(project, ids.artifactId) },
];
const inBulk = ({ projectId, ...job }: { projectId?: unknown }): Attempt => ({ body: { projectId, jobs: [job] } });
let seq = 0;
const report = (workId: string) => ({ workId, fence: 1, state: 'done', resultSha256: null, exitCode: null, busyMs: 1 });
const usageEvent = (of: Readonly<Record<string, string>>) => ({
  specversion: '1.0',
  id: `e${++seq}`,
  source: '/spec',
  type: 'spec',
  time: new Date().toISOString(),
  data: { meter: 'requests', quantity: 1, ...of },
});
const counts = { ok: 1, failed: 0, inputTokens: 1, outputTokens: 1 };
const sync = (work: readonly string[]): Attempt => ({
  body: {
    seq: ++seq,
    reports: work.flatMap((id) => [
      { ...report(id), counts },
      { workId: id, fence: 1, state: 'failed', code: 'x', message: 'x', exitCode: 1 },
    ]),
    logs: work.map((id) => ({ workId: id, fence: 1, n: 90, at: '2026-11-21T00:00:00Z', stream: 'agent', text: 'x' })),
    capacity: 0,
    waitMs: 0,
    knownWork: work.map((workId) => ({ workId, fence: 1 })),
  },
});

/** Of the market and of the installation: nobody's own. */
const MARKET_OFFER = 'list:spec/a';
const CLOUD = newId('provider');
const RESERVATION = newId('reservation');

const ATTEMPTS: Readonly<Record<string, Row | 'public'>> = {
  createOrganization: { asks: () => [{ body: { name: 'o' } }] },
  listOrganizations: none,
  getOrganization: {
    ...byId('organizationId'),
    sharedInOrganization: true,
  },
  changeOrganization: byId('organizationId', { body: { state: 'suspended' } }),
  createProject: {
    asks: (ids) => [{ body: { name: `p${++seq}`, organizationId: ids.organizationId } }],
    creates: () => ({ body: { name: 'same key' } }),
  },
  listProjects: none,
  getProject: byId('projectId'),
  createKey: {
    asks: (ids) => [
      { body: { name: 'k', role: 'member', projectId: ids.projectId } },
      { body: { name: 'k', role: 'admin', organizationId: ids.organizationId } },
      { body: { name: 'k', role: 'member', projectId: ids.projectId, organizationId: ids.organizationId } },
    ],
    creates: (own) => ({ body: { name: 'same key', role: 'member', projectId: own.projectId } }),
  },
  listKeys: none,
  revokeKey: byId('keyId'),
  listOffers: { asks: () => [{}, { query: { status: 'rentable' } }], shows: ['hostId', 'providerId'] },
  listOfferHistory: { asks: () => [{ params: { id: encodeURIComponent(MARKET_OFFER) } }], market: true },
  previewPlacement: {
    asks: (ids) => [{ body: { workload: {}, projectId: ids.projectId } }],
    shows: ['hostId', 'providerId'],
  },
  getPlacement: byId('placementId'),
  // Prices of the market are everybody's; a sizing names nothing of anybody.
  size: {
    asks: () => [{ body: { workload: { kind: 'hardware' }, scope: 'rentable' } }],
    shows: ['hostId', 'providerId'],
  },
  replayPlacement: byId('placementId', { body: {} }),
  createQuote: {
    asks: (ids) => [{ body: { workload: {}, projectId: ids.projectId } }],
    creates: (own) => ({ body: { workload: {}, projectId: own.projectId } }),
    shows: ['hostId', 'providerId'],
  },
  listQuotes: { asks: (ids) => [{}, { query: { projectId: ids.projectId } }], shows: ['hostId', 'providerId'] },
  getQuote: byId('quoteId'),
  createArtifact: {
    asks: (ids) => [{ query: { projectId: ids.projectId }, body: 'x', headers: ndjson }],
    creates: (own) => ({ query: { projectId: own.projectId }, body: 'x', headers: ndjson }),
  },
  listArtifacts: { asks: (ids) => [{}, { query: { projectId: ids.projectId } }] },
  getArtifact: byId('artifactId'),
  readArtifact: byId('artifactId'),
  deleteArtifact: byId('spareArtifactId'),
  createJob: { asks: jobBodies, creates: (own) => ({ body: commandJob(own.projectId, own.artifactId) }) },
  createJobs: {
    asks: (ids, project) => jobBodies(ids, project).map(({ body }) => inBulk(body as object)),
    creates: (own) => inBulk(commandJob(own.projectId, own.artifactId)),
  },
  previewJob: { asks: jobBodies },
  listJobs: { asks: (ids) => [{}, { query: { projectId: ids.projectId } }, { query: { state: 'running' } }] },
  getJob: everyJob(),
  cancelJob: everyJob(),
  listJobEvents: everyJob(),
  watchJob: {
    asks: (ids) => ['0', '1', '99'].map((n) => ({ params: { id: ids.batchJobId }, headers: { 'last-event-id': n } })),
  },
  readJobResults: byId('batchJobId'),
  listJobLogs: everyJob(),
  readJobOutput: byId('commandJobId', { query: { path: OUTPUT_PATH } }),
  listLeases: { asks: () => [{}, { query: { state: 'ready' } }] },
  getLease: { asks: (ids) => [ids.leaseId, ids.commandLeaseId].map((id) => ({ params: { id } })) },
  addHost: {
    asks: () => [],
    creates: () => ({ body: { name: 'same key', pricePerSlotHour: '1' } }),
  },
  listHosts: none,
  getHost: byId('hostId'),
  inviteHost: byId('hostId'),
  removeHost: byId('hostId'),
  sendUsageEvents: {
    asks: (ids) =>
      [{ projectId: ids.projectId }, { jobId: ids.batchJobId }, { leaseId: ids.leaseId }].map((of) => ({
        body: [usageEvent(of)],
      })),
  },
  // The caller's own events said these; whose row it is, `unattributedId` tells.
  listUnattributedUsage: { ...none, shows: ['projectId', 'batchJobId', 'leaseId'] },
  attributeUsage: {
    asks: (ids) => [{ body: { ids: [ids.unattributedId], projectId: ids.projectId } }],
  },
  getUsage: {
    asks: (ids) => [
      ...['project', 'job', 'day'].map((by) => ({ query: { by } })),
      { query: { bucket: 'hour', groupBy: 'project,job,provider' } },
      { query: { project: ids.projectId, groupBy: 'job' } },
    ],
  },
  explainUsage: { asks: () => [{ query: { date: new Date().toISOString().slice(0, 10) } }] },
  getAllUsage: { asks: (ids) => [{}, { query: { organizationId: ids.organizationId, side: 'cost', groupBy: 'job' } }] },
  checkUsage: { asks: () => [{ query: { from: '2026-11-20', to: '2026-11-21' } }] },
  rebuildUsage: { asks: () => [{ body: { from: '2026-11-20', to: '2026-11-21' } }] },
  getBalance: { asks: () => [{}], sharedInOrganization: true },
  listTransactions: none,
  listInvoices: none,
  getInvoice: byId('invoiceId'),
  previewInvoice: none,
  readInvoicePdf: byId('payableInvoiceId'),
  readInvoiceCsv: byId('payableInvoiceId'),
  readCreditNotePdf: byId('creditNoteId'),
  readCreditNoteCsv: byId('creditNoteId'),
  listAllInvoices: { asks: (ids) => [{}, { query: { organizationId: ids.organizationId } }] },
  issueInvoice: byId('draftInvoiceId'),
  voidInvoice: byId('voidableInvoiceId', { body: { reason: 'r' } }),
  creditInvoice: byId('creditableInvoiceId', { body: { reason: 'r', amountCents: '5' } }),
  listCreditNotes: { asks: (ids) => [{}, { query: { organizationId: ids.organizationId } }] },
  confirmRefund: byId('creditNoteId'),
  payInvoice: byId('payableInvoiceId', { body: { reference: 'r' } }),
  writeOffInvoice: byId('lostInvoiceId', { body: { reason: 'r' } }),
  getBillingProfile: byId('organizationId'),
  setBillingProfile: byId('organizationId', { body: { name: 'n' } }),
  listQuotas: { asks: () => [{}], sharedInOrganization: true },
  listOrganizationQuotas: { asks: (ids) => [{ query: { organizationId: ids.organizationId } }] },
  setQuota: {
    asks: (ids) => [
      { body: { scope: 'organization', scopeId: ids.organizationId, dimension: 'leases', limit: '1' } },
      { body: { scope: 'project', scopeId: ids.projectId, dimension: 'leases', limit: '1' } },
    ],
  },
  removeQuota: byId('quotaId'),
  setCreditLimit: byId('organizationId', { body: { limit: '1' } }),
  giveGrant: byId('organizationId', { body: { amountNano: '1', reference: 'r' } }),
  listGrants: byId('organizationId'),
  addCredit: { asks: (ids) => [{ body: { organizationId: ids.organizationId, amountNano: '1', reference: 'r' } }] },
  getStatement: none,
  getAccountStatement: { asks: (ids) => [{ params: { id: `credit:${ids.organizationId}` } }] },
  getTrialBalance: none,
  verifyLedger: none,
  listPriceBooks: none,
  publishPriceBook: { asks: () => [{ body: { terms: {} } }] },
  setPlan: byId('organizationId', { body: { plan: null } }),
  listCommitments: byId('organizationId'),
  addCommitment: {
    asks: ({ organizationId, projectId }) => {
      const body = { per: 'hour', amount: '1', discountBps: 1, endsAt: '2099-01-01T00:00:00Z' };
      return [body, { ...body, projectId }].map((b) => ({ params: { id: organizationId }, body: b }));
    },
  },
  getMargins: { asks: () => [{}, { query: { by: 'lease' } }] },
  getPlan: byId('organizationId'),
  listOwnCommitments: none,
  getRevenue: none,
  importVendorInvoice: {
    asks: (ids) => [{ query: { providerId: ids.vendorId, format: 'csv' }, body: strayBill('stray'), headers: ndjson }],
  },
  listVendorInvoices: { asks: (ids) => [{}, { query: { providerId: ids.vendorId } }] },
  getVendorInvoice: byId('vendorInvoiceId'),
  listVendorDifferences: byId('vendorInvoiceId'),
  acceptVendorDifferences: byId('vendorInvoiceId', { body: { reason: 'r', kinds: ['only-at-vendor'] } }),
  listAudit: {
    asks: (ids) => [{}, { query: { organizationId: ids.organizationId } }, { query: { actorKeyId: ids.keyId } }],
  },
  getPaying: none,
  beginCardSetup: { asks: () => [], creates: () => ({ body: {} }) },
  getCardSetup: byId('setupId'),
  setAutoRecharge: {
    asks: () => [{ body: { on: false, below: '0', amount: '0', monthlyCap: '0' } }],
  },
  createTopUp: {
    asks: () => [],
    creates: () => ({ body: { amount: '5000000000' } }),
  },
  listPayments: none,
  getPayment: byId('paymentId'),
  refundPayment: byId('paymentId', { body: { amount: '10000000' } }),
  listInvoiceClosings: { asks: () => [{}, { query: { state: 'refused' } }] },
  retryInvoiceClosing: byId('closingId'),
  takeStripeEvent: 'public',
  getPayoutBalance: none,
  listPayouts: none,
  getPayout: byId('payoutId'),
  listPayoutStatements: none,
  getPayoutStatement: byId('payoutStatementId'),
  readPayoutStatementPdf: byId('payoutStatementId'),
  readPayoutStatementCsv: byId('payoutStatementId'),
  previewPayoutStatement: { asks: (ids) => [{ query: { providerId: ids.providerId } }] },
  readPayoutPreviewPdf: { asks: (ids) => [{ query: { providerId: ids.providerId } }] },
  listPayoutDisputes: none,
  getPayoutAccount: none,
  openPayoutAccount: { asks: () => [], creates: () => ({ body: { country: 'DE' } }) },
  linkPayoutAccount: { asks: () => [] },
  listAllPayouts: { asks: (ids) => [{}, { query: { providerId: ids.providerId } }] },
  listAllPayoutStatements: { asks: (ids) => [{}, { query: { providerId: ids.providerId } }] },
  runPayouts: { asks: (ids) => [{ body: { month: '2026-01', providerId: ids.providerId } }] },
  approvePayout: byId('payoutId'),
  sendPayout: byId('payoutId'),
  markPayoutPaid: byId('payoutId', { body: { reference: 'r' } }),
  cancelPayout: byId('cancelablePayoutId', { body: { reason: 'r' } }),
  reversePayout: byId('payoutId', { body: { reason: 'r' } }),
  listAllPayoutDisputes: { asks: (ids) => [{}, { query: { providerId: ids.providerId } }] },
  openPayoutDispute: {
    asks: (ids) => [{ body: { providerId: ids.providerId, reason: 'other', note: 'n', amount: '1' } }],
  },
  resolvePayoutDispute: byId('payoutDisputeId', { body: { as: 'dismissed', resolution: 'r' } }),
  getPayoutTerms: byId('providerId'),
  setPayoutTerms: byId('providerId', { body: { holdbackBps: 0 } }),
  listOrphans: none,
  confirmOrphans: { asks: () => [{ body: { machines: [{ providerId: newId('provider'), vendorId: 'vm-1' }] } }] },
  pauseOrphanSweep: { asks: () => [{ body: { reason: 'r' } }] },
  resumeOrphanSweep: none,
  listProviders: none,
  listQuarantine: none,
  listCatalogFormats: none,
  importCatalog: {
    asks: (ids) => [
      {
        body: {
          format: 'berth-csv',
          content: `provider,sku,region,gpu,count,pricePerHourUsd\n${ids.providerId},a,r,T4,1,1\n`,
        },
      },
    ],
  },
  releaseOffer: { asks: () => [{ body: { id: MARKET_OFFER, reason: 'r' } }] },
  listReservations: none,
  addReservation: {
    asks: () => [
      {
        body: {
          providerId: CLOUD,
          sku: 's',
          region: 'r',
          machines: 1,
          until: '2126-01-01T00:00:00Z',
          paidPerHour: '1',
          note: 'n',
        },
      },
    ],
  },
  getReservation: { asks: () => [{ params: { id: RESERVATION } }] },
  endReservation: { asks: () => [{ params: { id: RESERVATION } }] },
  readProviderOffers: { asks: () => [{ params: { id: CLOUD } }] },
  enrolAgent: 'public',
  syncAgent: { asks: (ids) => [sync([ids.shardId, ids.commandShardId])] },
  readWorkInput: { asks: (ids) => [{ params: { workId: ids.shardId } }] },
  readWorkArtifact: {
    asks: (ids) => [{ params: { id: ids.artifactId }, query: { workId: ids.commandShardId } }],
  },
  putWorkResult: { asks: (ids) => [{ params: { workId: ids.shardId, fence: '1' }, body: 'forged', headers: ndjson }] },
  putWorkOutput: {
    asks: (ids) => [
      {
        params: { workId: ids.commandShardId, fence: '1' },
        query: { path: OUTPUT_PATH },
        body: 'forged',
        headers: ndjson,
      },
    ],
  },
  getMe: { ...none, sharedInOrganization: true },
  getLive: 'public',
  getReady: 'public',
  getMetrics: 'public',
  getOpenApi: 'public',
  getGuide: 'public',
  getGuideStyle: 'public',
};

let api: TestApi;
let a: Owner;
let b: Owner;
let database: pg.Client;

beforeAll(async () => {
  // Cards are taken, and nobody listens: intents are written and stay.
  api = await TestApi.start(
    {},
    {
      BILLING: 'stripe',
      STRIPE_SECRET_KEY: 'sk_test_spec',
      STRIPE_WEBHOOK_SECRET: 'whsec_spec',
      STRIPE_API_BASE: 'http://127.0.0.1:1',
    },
  );
  a = await openOwner(api, 'Ann');
  b = await openOwner(api, 'Ben');
  database = new pg.Client({ connectionString: api.workerUrl });
  await database.connect();
  await database.query(
    `insert into price_events (offer_id, at, kind, price_per_hour, available, source)
     select $1, now() - n * interval '1 day', 'changed', n, true, 'spec' from generate_series(1, 3) as n`,
    [MARKET_OFFER],
  );
  await database.query(
    `insert into quarantined_offers (id, provider_id, accelerator, pricing, region, price_per_hour, source, reason, first_at, last_at)
     select id, $2, 'L4', 'spot', 'r', 1, 'spec', 'the price is too low', now(), now() from unnest(array[$1, $1 || '2', $1 || '3']) as id`,
    [MARKET_OFFER, CLOUD],
  );
  await database.query(
    `insert into providers (id, organization_id, name, kind, adapter, state, margin_bps, settings, created_at)
     select $1, o.id, 'a cloud', 'hyperscaler', 'sandbox', 'active', 0, '{}', now() from organizations o where o.kind = 'platform'`,
    [CLOUD],
  );
  const reserved: Offer = {
    ...{
      id: 'spec:reserved',
      providerId: CLOUD,
      providerKind: 'hyperscaler',
      sku: 's',
      region: 'r',
      zone: null,
      country: null,
    },
    ...{ accelerator: 'L4', acceleratorVendor: 'nvidia', count: 1, vramGiB: 24, vcpus: 8, ramGiB: 32 },
    interconnect: { intraNode: 'none', intraNodeGBps: null, interNode: 'unknown', interNodeGbps: null },
    ...{
      pricing: 'on-demand',
      pricePerHour: usd('1'),
      billing: { minimumS: 0, incrementS: 1 },
      stock: null,
      status: 'listed',
    },
    ...{
      source: 'spec',
      observedAtMs: Date.now(),
      confidence: 1,
      doubts: [],
      certifications: [],
      via: { kind: 'market' },
    },
  };
  await api.ground.store.transaction(WORKER, (tx) => api.app.get(Catalog).publish(tx, [reserved]));
  await database.query(
    `insert into reservations (id, provider_id, sku, region, machines, from_at, until_at, paid_per_hour, note, state, created_at)
     select id, $2, 's', 'r', 1, now(), now() + interval '1 year', 1, 'spec', 'open', now() from unnest(array[$1, $1 || '2', $1 || '3']) as id`,
    [RESERVATION, CLOUD],
  );
});
afterAll(async () => {
  await database.end();
  await api.close();
});

interface Caller {
  readonly who: string;
  readonly key: string;
  readonly project: string | undefined;
  readonly sameOrganization: boolean;
}
const keyCallers = (): Caller[] => [
  { who: 'another tenant’s admin', key: b.adminKey, project: b.ids.projectId, sameOrganization: false },
  {
    who: 'a member of another project',
    key: a.otherProject.key,
    project: a.otherProject.projectId,
    sameOrganization: true,
  },
  { who: 'another provider’s operator', key: b.operatorKey, project: undefined, sameOrganization: false },
];
const agentCallers = (): Caller[] =>
  [
    ['the agent of another lease', b.leaseAgent],
    ['the agent of another host', b.hostAgent],
  ].map(([who = '', key = '']) => ({ who, key, project: undefined, sameOrganization: false }));
const callersOf = ({ access }: RouteSpec): Caller[] => (access === 'agent' ? agentCallers() : keyCallers());

function lineOf(spec: RouteSpec, { params = {}, query }: Attempt, more: Record<string, string> = {}) {
  const path = spec.path.replace(/\{(\w+)\}/g, (_, name: string) => params[name] ?? 'missing');
  const search = new URLSearchParams({ ...query, ...more }).toString();
  return `${spec.method} ${path}${search === '' ? '' : `?${search}`}` as 'GET /';
}
function ask(spec: RouteSpec, key: string, attempt: Attempt, headers: Record<string, string> = {}, query = {}) {
  const { body } = attempt;
  return api.call(lineOf(spec, attempt, query), {
    key,
    ...(body === undefined ? {} : { body }),
    headers: { ...attempt.headers, ...headers },
  });
}

/** Ids of the same kinds that nobody has. */
function nobody(ids: Ids): Ids {
  const kinds = Object.entries(ID_PREFIXES) as [IdKind, string][];
  const other = (id: string): string => newId(kinds.find(([, prefix]) => id.startsWith(`${prefix}_`))?.[0] ?? 'job');
  return Object.fromEntries(Object.entries(ids).map(([name, id]) => [name, other(id)])) as unknown as Ids;
}

/** The answer without what may differ: the ids that were asked for, the request's own id, times. */
function plain({ status, body }: TestAnswer, ids: Ids, attempt: Attempt): string {
  const sent = JSON.stringify(attempt);
  let text = JSON.stringify([status, { ...body, requestId: undefined }]);
  for (const [name, id] of Object.entries(ids)) if (sent.includes(id)) text = text.replaceAll(id, `<${name}>`);
  return text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>').replace(/"(pl|req)_[0-9a-z]{26}"/g, '"<new>"');
}

/** Every row that names the owner's organizations, as text. */
async function rowsOf(owner: Owner): Promise<string> {
  const { rows: tables } = await database.query<{ name: string }>(
    "select table_name as name from information_schema.columns where table_schema = 'public' and column_name = 'organization_id' order by 1",
  );
  const organizations = [owner.ids.organizationId, owner.ids.providerOrganizationId];
  const all: string[] = [];
  for (const { name } of tables) {
    const { rows } = await database.query<{ row: string }>(
      `select (to_jsonb(t) - 'last_used_at')::text as row from "${name}" t where organization_id = any($1) order by 1`,
      [organizations],
    );
    all.push(...rows.map(({ row }) => `${name} ${row}`));
  }
  for (const name of ['vendor_invoices', 'vendor_comparisons']) {
    const { rows } = await database.query<{ row: string }>(
      `select to_jsonb(t)::text as row from "${name}" t where provider_id = $1 order by 1`,
      [owner.ids.vendorId],
    );
    all.push(...rows.map(({ row }) => `${name} ${row}`));
  }
  const { rows } = await database.query<{ row: string }>(
    'select to_jsonb(o)::text as row from organizations o where id = any($1) order by 1',
    [organizations],
  );
  return [...all, ...rows.map(({ row }) => row)].join('\n');
}
const bytesOf = async (key: string): Promise<string> => {
  const parts: Uint8Array[] = [];
  for await (const part of await api.ground.broker.artifacts.objects.get(key)) parts.push(part);
  return Buffer.concat(parts).toString();
};

const table = routes().map((spec) => [spec.name, spec] as const);
const rowOf = (spec: RouteSpec): Row | null => {
  const row = ATTEMPTS[spec.name];
  return row === undefined || row === 'public' ? null : row;
};

describe('the matrix', () => {
  it('knows every route, and no route that is not there', () => {
    expect(Object.keys(ATTEMPTS).sort()).toEqual(table.map(([name]) => name).sort());
  });

  it('calls public only what the routes call public', () => {
    const open = (spec: RouteSpec): boolean => spec.access === 'public';
    for (const [name, spec] of table) expect([name, ATTEMPTS[name] === 'public']).toEqual([name, open(spec)]);
  });

  it('covers every id in a path', () => {
    for (const [name, spec] of table) {
      const wanted = [...spec.path.matchAll(/\{(\w+)\}/g)].map((m) => m[1]);
      for (const attempt of rowOf(spec)?.asks(a.ids, undefined) ?? [])
        expect([name, Object.keys(attempt.params ?? {})]).toEqual([name, wanted]);
    }
  });

  it.each(table)('%s: foreign ids are unknown ids', async (_, spec) => {
    const row = rowOf(spec);
    if (!row) return;
    const before = await rowsOf(a);
    // Every id of the owner is in what is compared.
    expect(Object.values(a.ids).filter((id) => !before.includes(id))).toEqual([]);
    for (const caller of callersOf(spec)) {
      const { who, key, project, sameOrganization } = caller;
      if (sameOrganization && row.sharedInOrganization) continue;
      const unknown = nobody(a.ids);
      const foreign = row.asks(a.ids, project);
      const missing = row.asks(unknown, project);
      for (const [i, attempt] of foreign.entries()) {
        const answer = await ask(spec, key, attempt);
        const absent = missing[i] ?? attempt;
        const other = await ask(spec, key, absent);
        expect([who, plain(answer, a.ids, attempt)]).toEqual([who, plain(other, unknown, absent)]);
        if (attempt.params && !row.market)
          expect([who, answer.status >= 400 && answer.status < 500]).toEqual([who, true]);
        if (attempt.params && spec.access !== 'agent' && !row.market) expect([403, 404]).toContain(answer.status);
        // What the caller sent itself may come back; nothing else of the owner's may.
        const sent = JSON.stringify(attempt);
        const text = JSON.stringify(answer.body);
        const leaked = (Object.entries(a.ids) as [keyof Ids, string][]).filter(
          ([name, id]) =>
            text.includes(id) &&
            !sent.includes(id) &&
            !row.shows?.includes(name) &&
            !(sameOrganization && name === 'organizationId'),
        );
        expect([who, leaked, text.includes('secret')]).toEqual([who, [], false]);
      }
    }
    expect(await rowsOf(a)).toBe(before);
  });

  it.each(table.filter(([, spec]) => spec.page))('%s: a cursor of somebody else is refused', async (_, spec) => {
    const row = rowOf(spec);
    if (typeof spec.access !== 'object' || !row) return;
    const key = spec.access.roles.includes('admin')
      ? a.adminKey
      : spec.access.roles.includes('provider-operator')
        ? a.operatorKey
        : api.platformKey;
    const [attempt = {}] = row.asks(a.ids, a.ids.projectId);
    const mine = await ask(spec, key, attempt, {}, { limit: '1' });
    const cursor = String(mine.body['nextCursor']);
    expect([mine.status, cursor === 'null']).toEqual([200, false]);
    expect((await ask(spec, key, attempt, {}, { cursor })).status).toBe(200);
    for (const { who, key: other } of keyCallers()) {
      const answer = await ask(spec, other, attempt, {}, { cursor });
      expect([who, [400, 403, 404].includes(answer.status), answer.body['items']]).toEqual([who, true, undefined]);
    }
  });

  it.each(table.filter(([, spec]) => spec.creates))(
    '%s: an Idempotency-Key that somebody else has used is a new one',
    async (name, spec) => {
      const creates = rowOf(spec)?.creates;
      if (!creates || typeof spec.access !== 'object') {
        expect(spec.access).toEqual({ roles: ['platform-admin'] });
        return;
      }
      const headers = { 'idempotency-key': `shared-${name}` };
      const [mineKey, otherKey] = spec.access.roles.includes('admin')
        ? [a.adminKey, b.adminKey]
        : [a.operatorKey, b.operatorKey];
      const mine = await ask(spec, mineKey, creates(a.ids), headers);
      const again = await ask(spec, mineKey, creates(a.ids), headers);
      const other = await ask(spec, otherKey, creates(b.ids), headers);
      const replayed = again.headers['idempotency-replayed'];
      expect([mine.status, again.status, replayed, other.status]).toEqual([201, 201, 'true', 201]);
      expect(again.body).toEqual(mine.body);
      expect(other.headers['idempotency-replayed']).toBeUndefined();
      const text = JSON.stringify(other.body);
      const shown: readonly string[] = rowOf(spec)?.shows ?? [];
      expect(Object.entries(a.ids).filter(([of, id]) => text.includes(id) && !shown.includes(of))).toEqual([]);
    },
  );

  it('stored nothing that a foreign agent sent', async () => {
    const { shardId, batchJobId, commandShardId, runningJobId } = a.ids;
    const path = Buffer.from(OUTPUT_PATH).toString('base64url');
    await expect(bytesOf(`results/${batchJobId}/${shardId}-1.jsonl`)).rejects.toMatchObject({ kind: 'not-found' });
    await expect(bytesOf(`outputs/${runningJobId}/${commandShardId}-1/${path}`)).rejects.toMatchObject({
      kind: 'not-found',
    });
  });

  it('lets no retired agent in', async () => {
    for (const [name, spec] of table) {
      if (spec.access !== 'agent') continue;
      for (const attempt of rowOf(spec)?.asks(a.ids, undefined) ?? []) {
        const { status } = await ask(spec, a.retiredAgent, attempt);
        expect([name, status]).toEqual([name, 401]);
      }
    }
  });

  it('proves something: the same requests of the owner are answered', async () => {
    const ends = ['cancelJob', 'removeHost', 'removeQuota', 'deleteArtifact', 'revokeKey', 'changeOrganization'];
    const late = (name: string): number => (name === 'syncAgent' ? 1 : ends.indexOf(name) + 2);
    const order = table.toSorted(
      ([x], [y]) =>
        (ends.includes(x) || x === 'syncAgent' ? late(x) : 0) - (ends.includes(y) || y === 'syncAgent' ? late(y) : 0),
    );
    const refused: string[] = [];
    for (const [name, spec] of order) {
      const row = rowOf(spec);
      if (!row || name === 'watchJob') continue;
      const { access } = spec;
      const key =
        access === 'agent'
          ? a.leaseAgent
          : access === 'public'
            ? ''
            : access.roles.includes('admin')
              ? a.adminKey
              : access.roles.includes('provider-operator')
                ? a.operatorKey
                : api.platformKey;
      for (const attempt of row.asks(a.ids, a.ids.projectId)) {
        const answer = await ask(spec, key, attempt);
        if (answer.status >= 300) refused.push(`${name} ${answer.status} ${JSON.stringify(answer.body['detail'])}`);
      }
    }
    expect(refused).toEqual([]);
  });
});
