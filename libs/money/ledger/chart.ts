/** What an account says of its owner and of its balance; the table of README.md holds the same and a spec compares both. */
export interface ChartRow {
  /** What stands after the colon of an account's id: one account for each organization or provider, or one for the broker. */
  readonly per: 'organization' | 'provider' | 'berth';
  readonly owner: 'tenant' | 'provider' | 'broker';
  /** The sign a balance has when all is well; `±`: either. What the broker owes is positive, what it owns or has spent is negative. */
  readonly sign: '+' | '-' | '±';
  /** The available part never falls below zero. */
  readonly bounded: boolean;
}

const own = { per: 'berth', owner: 'broker', bounded: false } as const;

/** Every kind of account there is. */
export const chart = {
  credit: { per: 'organization', owner: 'tenant', sign: '+', bounded: true },
  receivable: { per: 'organization', owner: 'tenant', sign: '-', bounded: false },
  payable: { per: 'provider', owner: 'provider', sign: '+', bounded: false },
  due: { per: 'provider', owner: 'provider', sign: '±', bounded: false },
  holdback: { per: 'provider', owner: 'provider', sign: '+', bounded: true },
  disputed: { per: 'provider', owner: 'provider', sign: '+', bounded: true },
  revenue: { ...own, sign: '±' },
  cash: { ...own, sign: '-' },
  clearing: { ...own, sign: '±' },
  fees: { ...own, sign: '-' },
  tax: { ...own, sign: '+' },
  rounding: { ...own, sign: '±' },
  grants: { ...own, sign: '-' },
  promotions: { ...own, sign: '-' },
  sla: { ...own, sign: '-' },
  exposure: { ...own, sign: '-' },
  'failed-starts': { ...own, sign: '-' },
  losses: { ...own, sign: '-' },
  refunds: { ...own, sign: '+' },
  payouts: { ...own, sign: '+' },
  'vendor-differences': { ...own, sign: '±' },
} as const satisfies Readonly<Record<string, ChartRow>>;

export type AccountKind = keyof typeof chart;

// The keys of a constant table are exactly its kinds.
export const accountKinds = Object.keys(chart) as readonly AccountKind[];

/** An account's id says its kind and owner, so nobody has to look it up. */
export const account = {
  credit: (organizationId: string): string => `credit:${organizationId}`,
  receivable: (organizationId: string): string => `receivable:${organizationId}`,
  payable: (providerId: string): string => `payable:${providerId}`,
  due: (providerId: string): string => `due:${providerId}`,
  holdback: (providerId: string): string => `holdback:${providerId}`,
  disputed: (providerId: string): string => `disputed:${providerId}`,
  revenue: 'revenue:berth',
  cash: 'cash:berth',
  clearing: 'clearing:berth',
  fees: 'fees:berth',
  tax: 'tax:berth',
  rounding: 'rounding:berth',
  grants: 'grants:berth',
  promotions: 'promotions:berth',
  sla: 'sla:berth',
  exposure: 'exposure:berth',
  failedStarts: 'failed-starts:berth',
  losses: 'losses:berth',
  refunds: 'refunds:berth',
  payouts: 'payouts:berth',
  vendorDifferences: 'vendor-differences:berth',
} as const;

/** The broker's own accounts; each exists once, from the first boot on. */
export const ownAccounts: readonly { id: string; kind: AccountKind; organizationId: null }[] = accountKinds
  .filter((kind) => chart[kind].per === 'berth')
  .map((kind) => ({ id: `${kind}:berth`, kind, organizationId: null }));
