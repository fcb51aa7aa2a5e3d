import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ManualClock, MINUTE, SECOND, SeededRandom, usd } from '#kernel';
import { VendorError, type Offer, type ProviderPort } from '#contracts';
import { MemoryStore, openStore, WORKER, type OpenStore, type Store } from '#platform/database';
import { organizations } from '#identity/tenancy';
import { Catalog, offers, priceEvents } from '#market/catalog';
import { patient, testDatabase, type TestDatabase } from '#testing';
import { Lister, listings, Vendors, type ListerParts, type ListingRow } from './index.js';
import { providers } from './providers.table.js';

const offer = (providerId: string, n: number, over: Partial<Offer> = {}): Offer => ({
  id: `${providerId}/${n}`,
  providerId,
  providerKind: 'bare-metal',
  sku: `sku-${n}`,
  region: 'r',
  zone: null,
  country: null,
  accelerator: 'L4',
  acceleratorVendor: 'nvidia',
  count: 1,
  vramGiB: 24,
  interconnect: { intraNode: 'none', intraNodeGBps: null, interNode: 'unknown', interNodeGbps: null },
  vcpus: null,
  ramGiB: null,
  pricing: 'on-demand',
  pricePerHour: usd('1'),
  billing: { minimumS: 0, incrementS: 1 },
  stock: null,
  status: 'rentable',
  source: 'vendor',
  observedAtMs: Date.UTC(2026, 10, 21),
  confidence: 1,
  doubts: [],
  certifications: [],
  via: { kind: 'market' },
  ...over,
});

type Answer = (signal: AbortSignal | undefined) => AsyncIterable<Offer>;
async function* gives(list: readonly Offer[]): AsyncGenerator<Offer> {
  yield* list;
}
const many = (providerId: string, n: number): Offer[] => Array.from({ length: n }, (_, i) => offer(providerId, i));

/** Vendors whose lists a spec says, and what was asked of them. */
class Market {
  readonly vendors = new Vendors();
  readonly asked: string[] = [];
  readonly answers = new Map<string, Answer>();

  async connect(store: Store, ids: readonly string[]): Promise<void> {
    await store.transaction(WORKER, async (tx) => {
      const organization = { id: 'org_1', name: 'o', kind: 'platform', state: 'active', createdAt: 0 } as const;
      await tx.insertNew(organizations, [organization]);
      for (const id of ids) {
        const row = { id, organizationId: 'org_1', name: id, kind: 'bare-metal', adapter: 'spec' } as const;
        await tx.insertNew(providers, [{ ...row, state: 'active', marginBps: 0, settings: {}, createdAt: 0 }]);
      }
    });
    for (const id of ids) {
      const listOffers = ({ signal }: { readonly signal?: AbortSignal } = {}): AsyncIterable<Offer> => {
        this.asked.push(id);
        return (this.answers.get(id) ?? (() => gives(many(id, 6))))(signal);
      };
      // Nothing else of the port is called.
      const port = { listOffers } as unknown as ProviderPort;
      this.vendors.bind(id, { port, acceptance: 'facts', residentAgent: false });
    }
  }
}

const catalog = new Catalog();
let clock: ManualClock;
let store: Store;
let market: Market;
const deadlines: AbortController[] = [];

function lister(over: Partial<ListerParts> = {}): Lister {
  return new Lister({
    store,
    vendors: market.vendors,
    catalog,
    clock,
    random: new SeededRandom(7),
    abortAfter: () => {
      const deadline = new AbortController();
      deadlines.push(deadline);
      return deadline.signal;
    },
    ...over,
  });
}
const row = async (providerId: string): Promise<ListingRow> => {
  const found = await store.transaction(WORKER, (tx) => tx.first(listings, { providerId }));
  if (!found) throw new Error('no listing');
  return found;
};
const catalogOf = (providerId: string) =>
  store.transaction(WORKER, (tx) => tx.find(offers, { providerId }, { orderBy: [['id', 'asc']] }));
/** The list of a provider at the time it is due. */
async function due(of: Lister, id: string) {
  const { nextAt } = await row(id);
  if (nextAt > clock.now()) clock.advance(nextAt - clock.now());
  return of.list(id);
}

describe('the lists of vendors', () => {
  beforeEach(async () => {
    clock = new ManualClock(Date.UTC(2026, 10, 21));
    store = new MemoryStore(clock);
    market = new Market();
    deadlines.length = 0;
    await market.connect(store, ['prv_a', 'prv_b', 'prv_c']);
  });

  it('are read at once when a vendor is new, and then each at its own time', async () => {
    const one = lister();
    await one.turn();
    await Promise.all(['prv_a', 'prv_b', 'prv_c'].map((id) => one.list(id)));
    expect(market.asked.sort()).toEqual(['prv_a', 'prv_b', 'prv_c']);
    expect(await row('prv_a')).toMatchObject({ offers: 6, failures: 0, error: null, listedAt: clock.now(), claim: '' });
    const times = await Promise.all(
      ['prv_a', 'prv_b', 'prv_c'].map(async (id) => (await row(id)).nextAt - clock.now()),
    );
    for (const wait of times) expect([wait >= 45 * SECOND, wait <= MINUTE]).toEqual([true, true]);
    expect(new Set(times).size).toBe(3);
    await one.turn();
    expect(market.asked).toHaveLength(3);
  });

  it('of a vendor that hangs for ever hold up no other, and are given up at their deadline', async () => {
    const told: string[] = [];
    market.answers.set('prv_b', () => ({
      [Symbol.asyncIterator]: () => ({ next: () => new Promise<IteratorResult<Offer>>(() => undefined) }),
    }));
    const one = lister({ report: (id, { outcome }) => void told.push(`${id} ${outcome}`) });
    await one.turn();
    const hanging = one.list('prv_b');
    await Promise.all([one.list('prv_a'), one.list('prv_c')]);
    for (let n = 0; n < 5; n++) {
      clock.advance(MINUTE);
      await one.turn();
      await Promise.all([one.list('prv_a'), one.list('prv_c')]);
    }
    expect((await row('prv_a')).listedAt).toBe(clock.now());
    expect((await row('prv_c')).listedAt).toBe(clock.now());
    expect(market.asked.filter((id) => id === 'prv_b')).toHaveLength(1);
    for (const deadline of deadlines) deadline.abort();
    expect(await hanging).toMatchObject({ outcome: 'failed', failures: 1 });
    expect((await row('prv_b')).error).toBe('the list did not end within 45 s');
    expect(told.filter((line) => line.startsWith('prv_b'))).toEqual(['prv_b failed']);
  });

  it('tell an adapter that listens when nobody waits any longer', async () => {
    let signal: AbortSignal | undefined;
    market.answers.set('prv_a', (given) => {
      signal = given;
      return { [Symbol.asyncIterator]: () => ({ next: () => new Promise<IteratorResult<Offer>>(() => undefined) }) };
    });
    const one = lister();
    const run = one.list('prv_a');
    while (signal === undefined) await Promise.resolve();
    await one.close();
    expect([signal.aborted, (await run).outcome]).toEqual([true, 'not-ours']);
    // A worker that stops is no failure of the vendor, and leaves it to the next one at once.
    expect(await row('prv_a')).toMatchObject({ failures: 0, error: null, claim: '', nextAt: clock.now() });
  });

  it('wait longer after each failure, never less than the vendor asks, and keep what was there', async () => {
    const one = lister();
    await one.list('prv_a');
    const waits: number[] = [];
    const fail = (error: Error) =>
      market.answers.set('prv_a', () => ({ [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }) }));
    fail(new VendorError('unauthorized', 'account', 'the key is not known'));
    for (let n = 0; n < 7; n++) {
      await due(one, 'prv_a');
      waits.push((await row('prv_a')).nextAt - clock.now());
    }
    const whole = [1, 2, 4, 8, 15, 15, 15].map((minutes) => minutes * MINUTE);
    waits.forEach((wait, i) => {
      expect(wait).toBeLessThanOrEqual(whole[i] ?? 0);
      expect(wait).toBeGreaterThanOrEqual((whole[i] ?? 0) * 0.75);
    });
    expect(await row('prv_a')).toMatchObject({ failures: 7, error: 'the key is not known', offers: 6 });
    expect((await catalogOf('prv_a')).map((o) => o.doubtful)).toEqual(Array(6).fill(false));
    market.answers.delete('prv_a');
    await due(one, 'prv_a');
    expect(await row('prv_a')).toMatchObject({ failures: 0, error: null });
    fail(new VendorError('rate-limited', 'account', 'slowly', 5 * MINUTE));
    await due(one, 'prv_a');
    expect((await row('prv_a')).nextAt - clock.now()).toBe(5 * MINUTE);
  });

  it('take an offer they lack out of the running at once, and out of the catalog after three', async () => {
    const one = lister();
    await one.list('prv_a');
    market.answers.set('prv_a', () => gives(many('prv_a', 5)));
    const lost = `prv_a/5`;
    for (const missed of [1, 2]) {
      await due(one, 'prv_a');
      const [kept] = (await catalogOf('prv_a')).filter((o) => o.id === lost);
      expect(kept).toMatchObject({ missed, doubtful: true, body: { doubts: ['not in its provider’s last list'] } });
    }
    await due(one, 'prv_a');
    expect((await catalogOf('prv_a')).map((o) => o.id)).toEqual([0, 1, 2, 3, 4].map((n) => `prv_a/${n}`));
    const events = await store.transaction(WORKER, (tx) => tx.find(priceEvents, { offerId: lost }));
    expect(events.map((e) => [e.kind, e.available, e.why])).toEqual([
      ['listed', true, null],
      ['changed', false, 'not in its provider’s last list'],
      ['gone', false, 'not in its provider’s last 3 lists'],
    ]);
  });

  it('bring an offer back that was missing', async () => {
    const one = lister();
    await one.list('prv_a');
    market.answers.set('prv_a', () => gives(many('prv_a', 5)));
    await due(one, 'prv_a');
    market.answers.delete('prv_a');
    await due(one, 'prv_a');
    expect((await catalogOf('prv_a')).map((o) => [o.missed, o.doubtful])).toEqual(Array(6).fill([0, false]));
  });

  it('that suddenly lack most of a market are doubted twice and believed then', async () => {
    const one = lister();
    await one.list('prv_a');
    market.answers.set('prv_a', () => gives(many('prv_a', 1)));
    for (const doubted of [1, 2]) {
      expect(await due(one, 'prv_a')).toMatchObject({ change: { doubted: true, missing: 0, expired: 0 } });
      expect((await row('prv_a')).doubted).toBe(doubted);
      expect((await catalogOf('prv_a')).map((o) => o.doubtful)).toEqual(Array(6).fill(false));
    }
    expect(await due(one, 'prv_a')).toMatchObject({ change: { doubted: false, missing: 5 } });
    expect((await row('prv_a')).doubted).toBe(0);
    expect((await catalogOf('prv_a')).map((o) => o.doubtful)).toEqual([false, ...Array<boolean>(5).fill(true)]);
  });

  it('that are due go to the queue first, and are begun here when nobody came for them', async () => {
    const poked: string[] = [];
    const one = lister({ poke: (id) => Promise.resolve(void poked.push(id)) });
    await one.turn();
    expect([poked.sort(), market.asked]).toEqual([['prv_a', 'prv_b', 'prv_c'], []]);
    clock.advance(10 * SECOND);
    await one.turn();
    await Promise.all(['prv_a', 'prv_b', 'prv_c'].map((id) => one.list(id)));
    expect([poked.length, market.asked.length]).toEqual([3, 3]);
  });

  it('of a provider that is not active are not read', async () => {
    await store.transaction(WORKER, (tx) => tx.update(providers, { id: 'prv_a' }, { state: 'paused' }));
    const one = lister();
    await one.turn();
    await Promise.all([one.list('prv_b'), one.list('prv_c')]);
    expect(market.asked.sort()).toEqual(['prv_b', 'prv_c']);
  });
});

describe('the lists of vendors on PostgreSQL', () => {
  let database: TestDatabase;
  let opened: OpenStore;
  beforeAll(async () => {
    database = await testDatabase();
    opened = await openStore(database.ownerUrl, database.secret, { poolSize: 8, name: 'lister-spec', ...patient });
    store = opened.store;
    clock = new ManualClock();
    market = new Market();
    await market.connect(store, ['prv_a', 'prv_b']);
  });
  afterAll(async () => {
    await opened.close();
    await database.close();
  });

  it('are read by one of many workers at a time', async () => {
    const workers = Array.from({ length: 6 }, (_, n) => lister({ random: new SeededRandom(n) }));
    const outcomes = await Promise.all(workers.flatMap((w) => ['prv_a', 'prv_b'].map((id) => w.list(id))));
    expect(outcomes.filter(({ outcome }) => outcome === 'listed')).toHaveLength(2);
    expect(market.asked.sort()).toEqual(['prv_a', 'prv_b']);
    expect((await catalogOf('prv_a')).map((o) => o.id)).toEqual([0, 1, 2, 3, 4, 5].map((n) => `prv_a/${n}`));
  });

  it('of a worker that was frozen change nothing once another one has taken over', async () => {
    let goOn = (): void => undefined;
    const frozen = new Promise<void>((resolve) => (goOn = resolve));
    market.answers.set('prv_a', async function* () {
      await frozen;
      yield offer('prv_a', 99);
    });
    const dueNow = (tx: Parameters<Parameters<Store['transaction']>[1]>[0]) =>
      tx.update(listings, { providerId: 'prv_a' }, { nextAt: 0 });
    await store.transaction(WORKER, dueNow);
    const late = lister({ random: new SeededRandom(1) }).list('prv_a');
    while ((await row('prv_a')).claim === '') await new Promise((resolve) => setImmediate(resolve));
    await store.transaction(WORKER, dueNow);
    market.answers.set('prv_a', () => gives([...many('prv_a', 6), offer('prv_a', 7)]));
    expect(await lister({ random: new SeededRandom(2) }).list('prv_a')).toMatchObject({ outcome: 'listed', offers: 7 });
    goOn();
    expect((await late).outcome).toBe('not-ours');
    expect((await catalogOf('prv_a')).map((o) => o.id)).toEqual([0, 1, 2, 3, 4, 5, 7].map((n) => `prv_a/${n}`));
    expect((await row('prv_a')).offers).toBe(7);
  });

  it('miss, expire and doubt as in memory', async () => {
    const one = lister();
    const again = async (n: number) => {
      market.answers.set('prv_b', () => gives(many('prv_b', n)));
      await store.transaction(WORKER, (tx) => tx.update(listings, { providerId: 'prv_b' }, { nextAt: 0 }));
      const listed = await one.list('prv_b');
      if (listed.outcome !== 'listed') throw new Error(listed.outcome);
      const { missing, expired, doubted } = listed.change;
      return { missing, expired, doubted };
    };
    expect(await again(5)).toEqual({ missing: 1, expired: 0, doubted: false });
    expect(await again(1)).toEqual({ missing: 0, expired: 0, doubted: true });
    expect(await again(5)).toEqual({ missing: 1, expired: 0, doubted: false });
    expect(await again(5)).toEqual({ missing: 0, expired: 1, doubted: false });
    expect(await again(6)).toMatchObject({ missing: 0, expired: 0, doubted: false });
    expect((await catalogOf('prv_b')).map((o) => [o.missed, o.doubtful])).toEqual(Array(6).fill([0, false]));
  });
});
