import { afterAll, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { ManualClock } from '#kernel';
import {
  catalogFormats,
  catalogImportSchema,
  offerView,
  toOfferView,
  type CatalogFormat,
  type CatalogImportView,
} from '#contracts';
import { auditLog, BROKER } from '#identity/audit';
import { MemoryStore, openStore, WORKER, type Store } from '#platform/database';
import { patient, testDatabase } from '#testing';
import { Catalog, importPriceList, offers, priceEvents, quarantinedOffers, toOffer } from './index.js';

const catalog = new Catalog();
const closing: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const close of closing) await close();
});
const AT = '2026-11-20T12:00:00.000Z';
const SAMPLES: Readonly<Record<CatalogFormat, string>> = {
  'berth-csv': 'berth.csv',
  aws: 'aws.csv',
  azure: 'azure.csv',
  gcp: 'gcp.csv',
  'gpu-pricing': 'gpu-pricing.json',
  'vast-ai': 'vast-ai.json',
  fsdl: 'fsdl.csv',
  'fsdl-serverless': 'fsdl-serverless.csv',
};
const sample = (format: CatalogFormat): string =>
  readFileSync(join(import.meta.dirname, '../../../docs/samples/catalog', SAMPLES[format]), 'utf8');
const HEAD = 'provider,sku,region,gpu,count,pricePerHourUsd,pricing,observedAt';
const csv = (...lines: readonly string[]): string => [HEAD, ...lines, ''].join('\n');

function importer(store: Store) {
  return (format: CatalogFormat, content: string, more: object = {}): Promise<CatalogImportView> =>
    importPriceList(store, catalog, BROKER, catalogImportSchema.parse({ format, content, observedAt: AT, ...more }));
}
const memory = (): Store => new MemoryStore(new ManualClock(Date.UTC(2026, 10, 21)));

describe.each<[string, () => Promise<Store>]>([
  ['memory', () => Promise.resolve(memory())],
  [
    'PostgreSQL',
    async () => {
      const database = await testDatabase();
      const opened = await openStore(database.ownerUrl, database.secret, {
        poolSize: 2,
        name: 'import-spec',
        ...patient,
      });
      closing.push(async () => {
        await opened.close();
        await database.close();
      });
      return opened.store;
    },
  ],
])('importing price lists on %s', (_, open) => {
  it('adds each once, tells its history, and changes nothing the second time', async () => {
    const store = await open();
    const take = importer(store);
    const read = <T>(work: Parameters<typeof store.transaction<T>>[1]) => store.transaction(WORKER, work);

    for (const format of catalogFormats) {
      const dry = await take(format, sample(format), { dryRun: true });
      const first = await take(format, sample(format));
      expect(first).toEqual({ ...dry, dryRun: false });
      expect(first.added).toBeGreaterThan(2);
      expect(first.offers).toBe(first.added + first.quarantined);
    }
    const rows = await read((tx) => tx.find(offers, {}, { orderBy: [['id', 'asc']] }));
    const events = await read((tx) => tx.find(priceEvents, {}));
    expect(rows.every((row) => row.status === 'listed')).toBe(true);
    expect(events.map((e) => [e.offerId, e.kind]).sort()).toEqual(rows.map((row) => [row.id, 'listed']).sort());

    for (const format of catalogFormats) {
      const again = await take(format, sample(format));
      expect([format, again.added, again.changed, again.older]).toEqual([format, 0, 0, 0]);
      expect(again.unchanged).toBe(again.offers - again.quarantined);
    }
    expect(await read((tx) => tx.find(offers, {}, { orderBy: [['id', 'asc']] }))).toEqual(rows);
    expect(await read((tx) => tx.find(priceEvents, {}))).toHaveLength(events.length);

    const log = await read((tx) => tx.find(auditLog, { action: 'catalog.import', subject: 'berth-csv' }));
    expect(log.map((row) => row.after)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ offers: 5, added: 4, quarantined: 1, rejected: 1, observedAt: AT }),
        expect.objectContaining({ offers: 5, added: 0, unchanged: 4, quarantined: 1, rejected: 1 }),
      ]),
    );
    // Dry runs are not in it.
    expect(log).toHaveLength(2);
  });

  it('keeps aside, doubts and rejects by line, and leaves alone what was seen later', async () => {
    const store = await open();
    const take = importer(store);
    const shown = await take('berth-csv', sample('berth-csv'));
    expect(shown.rejections).toEqual([
      { line: 7, reason: expect.stringContaining('GPU "H10O" is unknown; did you mean H100') },
    ]);
    expect(shown.quarantine).toEqual([
      { offerId: 'berth-csv:nordic-metal/a100-4/bergen-1/on-demand', reason: 'the price is zero' },
    ]);
    expect(shown.doubtful).toBe(1);
    const find = (id: string) =>
      store.transaction(WORKER, async (tx) => {
        const row = await tx.first(offers, { id });
        return row && toOffer(row);
      });
    expect(await find('berth-csv:nordic-metal/h100-sxm-8/oslo-1/spot')).toMatchObject({
      software: { driver: '570.124.06', cuda: '12.8' },
    });
    expect(await find('berth-csv:nordic-metal/l40s-1/oslo-1/b/spot')).toMatchObject({
      zone: 'b',
      software: { driver: '550.54.14' },
      doubts: ['spot costs more than on-demand of the same machine'],
    });

    // A later list says another price; then the old one comes again.
    const id = 'berth-csv:acme/t4/r1/on-demand';
    const line = (price: string, day: number) => csv(`acme,t4,r1,T4,1,${price},,2026-11-${day}T00:00:00Z`);
    expect(await take('berth-csv', line('0.5', 10))).toMatchObject({ added: 1 });
    expect(await take('berth-csv', line('0.6', 12))).toMatchObject({ changed: 1 });
    expect(await take('berth-csv', line('0.5', 10))).toMatchObject({ older: 1, changed: 0 });
    expect(await find(id)).toMatchObject({ pricePerHour: 600_000_000n });

    // What was believed becomes absurd and leaves, with its reason; a plausible list brings it back.
    expect(await take('berth-csv', line('-3', 13))).toMatchObject({
      quarantine: [{ offerId: id, reason: 'the price is negative' }],
    });
    expect(await find(id)).toBeNull();
    expect(await take('berth-csv', line('0.7', 14))).toMatchObject({ added: 1, quarantined: 0 });
    const aside = await store.transaction(WORKER, (tx) => tx.find(quarantinedOffers, { providerId: 'acme' }));
    expect(aside).toEqual([]);
  });

  it('judges a list by what was there before, and not again by itself', async () => {
    const take = importer(await open());
    const list = csv(...[1, 2, 3, 4, 5, 50].map((price, n) => `acme,m${n},r1,L4,1,${price},,`));
    expect(await take('berth-csv', list)).toMatchObject({ added: 6, quarantined: 0 });
    expect(await take('berth-csv', list)).toMatchObject({ changed: 0, unchanged: 6, quarantined: 0 });
    expect(await take('berth-csv', csv('acme,new,r1,L4,1,51,,'))).toMatchObject({ added: 0, quarantined: 1 });
  });
});

describe('a file of a price list', () => {
  it('counts lines as an editor does, also with blank lines and line breaks in cells', async () => {
    const text = csv('', 'acme,"a\nb",r1,T4,1,1,,', 'acme,c,r1,T4,1,dear,,', '', 'acme,d,r1,T4,none,1,,');
    const { rejections } = await importer(memory())('berth-csv', text);
    expect(rejections.map(({ line }) => line)).toEqual([4, 5, 7]);
  });

  it.each([
    ['acme,a,r1,T4,1,1e3,,', '"1e3" is no price'],
    ['acme,a,r1,T4,1,,,', '"" is no price'],
    ['acme,a,r1,T4,0,1,,', '"0" is no count'],
    ['acme,a,r1,T4,1,1,hourly,', 'the pricing "hourly" is none of on-demand, spot'],
    ['acme,a,r1,T4,1,1,,yesterday', '"yesterday" is no time'],
    ['acme,,r1,T4,1,1,,', 'the sku is not given'],
    ['acme,a,,T4,1,1,,', 'the region is not given'],
    ['prv_01abc,a,r1,T4,1,1,,', '"prv_01abc" is no name of a vendor'],
    ['acme,a,r1,A1O0-80GB,1,1,,', 'did you mean A100'],
  ])('rejects %s', async (line, reason) => {
    const view = await importer(memory())('berth-csv', csv('acme,ok,r1,T4,1,1,,', line));
    expect(view).toMatchObject({ added: 1, rejected: 1, rejections: [{ line: 3 }] });
    expect(view.rejections[0]?.reason).toContain(reason);
  });

  it('rejects a version that is none', async () => {
    const text =
      'provider,sku,region,gpu,count,pricePerHourUsd,driver,cuda\nacme,a,r1,T4,1,1,latest,\nacme,b,r1,T4,1,1,,12.8\n';
    const { added, rejections } = await importer(memory())('berth-csv', text);
    expect([added, rejections]).toEqual([
      1,
      [{ line: 2, reason: 'a: the driver "latest" is no version such as 550.54.14' }],
    ]);
  });

  it('lists the first hundred rejected lines and counts all', async () => {
    const view = await importer(memory())('berth-csv', csv(...Array.from({ length: 250 }, () => 'acme,a,r1,X9,1,1,,')));
    expect([view.rejected, view.rejections.length, view.rejections[99]?.line]).toEqual([250, 100, 101]);
  });

  it('takes bytes as base64, packed or not, and a companion in the place of the shipped one', async () => {
    const take = importer(memory());
    const bytes = Buffer.from(`\uFEFF${csv('acme,a,r1,T4,1,1,,').replaceAll('\n', '\r\n')}`);
    const base64 = (of: Buffer) => ({ encoding: 'base64', content: of.toString('base64') });
    expect(await take('berth-csv', '', base64(bytes))).toMatchObject({ added: 1, rejected: 0 });
    expect(await take('berth-csv', '', base64(gzipSync(bytes)))).toMatchObject({ unchanged: 1 });
    const types = {
      content: 'instance_type,cpu,memory_mib,gpu_name,gpu_count,gpu_memory_mib\nx.1,4,1024,t4,1,16384\n',
    };
    const list = 'region,instance_type,on_demand_usd_per_hour\nus-east-1,x.1,1.5\nus-east-1,p5.48xlarge,9\n';
    expect(await take('aws', list, { companion: types })).toMatchObject({ added: 1, rejected: 1 });
    expect(await take('aws', list)).toMatchObject({ added: 1, rejected: 1 });
  });

  it('takes text with a byte order mark, also JSON', async () => {
    const take = importer(memory());
    expect(await take('vast-ai', `\uFEFF${sample('vast-ai')}`)).toMatchObject(
      await importer(memory())('vast-ai', sample('vast-ai')),
    );
    expect(await take('berth-csv', `\uFEFF${csv('acme,a,r1,T4,1,1,,')}`)).toMatchObject({ added: 1, rejected: 0 });
  });

  it('refuses a heading that no price list has', async () => {
    const wide = csv('acme,a,r1,T4,1,1,,').replace('\n', `${','.repeat(10_000)}\n`);
    await expect(importer(memory())('berth-csv', wide)).rejects.toThrow('10008 columns; the most is 200');
  });

  it.each<[CatalogFormat, string, object]>([
    ['fsdl', 'Cloud,GPU Type,GPUs,GPU RAM,vCPUs,RAM,On-demand,Spot,Name\nX,T4 (16 GB),1,16,2,8,0,0.2,n\n', {}],
    ['gcp', 'instance,gpu,gpu_count,cpu,ram,region,hour,hour_spot,month_1y,month_3y\nx,t4,1,4,16,r,-1,0.2,,\n', {}],
    [
      'gpu-pricing',
      JSON.stringify(
        [0, 0.2].map((price_usd_hour) => ({
          ...{
            id: `x-${price_usd_hour}`,
            provider_id: 'p',
            gpu_model: 'T4',
            vram_gb: 16,
            interconnect: null,
            tier: '',
          },
          ...{ is_spot: price_usd_hour > 0, price_usd_hour, vcpu: null, ram_gb: null, collected_at: '2026-11-20' },
        })),
      ),
      { companion: { content: '[{"id":"p"}]' } },
    ],
  ])('holds no spot price against one that is not above zero in %s', async (format, content, more) => {
    const view = await importer(memory())(format, content, more);
    expect(view).toMatchObject({ added: 1, doubtful: 0, quarantined: 1 });
  });

  const GCP = 'instance,gpu,gpu_count,cpu,ram,region,hour,hour_spot,month_1y,month_3y';
  const FSDL = 'Cloud,GPU Type,GPUs,GPU RAM,vCPUs,RAM,On-demand,Spot,Name';
  const TYPES = 'instance_type,cpu,memory_mib,gpu_name,gpu_count,gpu_memory_mib';
  const NODE = {
    id: 'x',
    provider_id: 'modal',
    gpu_model: 'T4',
    vram_gb: 16,
    interconnect: null,
    tier: 'secure',
    is_spot: false,
    price_usd_hour: 1,
    vcpu: null,
    ram_gb: null,
    collected_at: '2026-11-20',
    caveats: [`sold in ${'9'.repeat(400)}x node`],
  };
  it.each<[string, CatalogFormat, string, object, string]>([
    ['a tiny part', 'berth-csv', csv('acme,a,r1,T4,0.0001,1,,'), {}, 'a: a machine cannot have 0.0001 accelerators'],
    ['a tiny part', 'gcp', `${GCP}\nx,l4,0.0001,4,16,r,1,,,`, {}, 'cannot have 0.0001 accelerators'],
    ['a tiny part', 'fsdl', `${FSDL}\nX,T4 (16 GB),0.0001,16,2,8,1,,n`, {}, 'cannot have 0.0001 accelerators'],
    ['infinity', 'gcp', `${GCP}\nx,l4,1e999,4,16,r,1,,,`, {}, 'cannot have Infinity accelerators'],
    [
      'infinity',
      'fsdl',
      `${FSDL}\nX,T4 (16 GB),${'9'.repeat(400)},16,2,8,1,,n`,
      {},
      'cannot have Infinity accelerators',
    ],
    [
      'no number',
      'aws',
      'region,instance_type,on_demand_usd_per_hour\nus-east-1,x.1,1',
      { companion: { content: `${TYPES}\nx.1,4,1024,t4,,abc\n` } },
      'x.1: count of "t4" is not stated',
    ],
    ['infinity', 'gpu-pricing', JSON.stringify([NODE]), {}, 'x: no node has Infinity accelerators'],
  ])('rejects a line that counts %s in %s', async (_, format, content, more, reason) => {
    const view = await importer(memory())(format, content, more);
    expect(view).toMatchObject({ added: 0, rejected: 1 });
    expect(view.rejections[0]?.reason).toContain(reason);
  });

  it('keeps aside what was seen before there were such machines: nobody could be shown the rest of the catalog', async () => {
    const store = memory();
    const at = (time: string, sku: string) => `acme,${sku},r1,T4,1,1,,${time}`;
    const text = csv(at('-000001-01-01T00:00:00Z', 'a'), at('-005000-01-01T00:00:00Z', 'b'), at('2026-11-01', 'c'));
    expect(await importer(store)('berth-csv', text)).toMatchObject({
      added: 1,
      quarantined: 2,
      quarantine: [{ reason: 'the time of observation makes no sense' }, {}],
    });
  });

  it('takes the name of a machine or a GPU for nothing else than a name', async () => {
    const store = memory();
    expect(await importer(store)('gcp', `${GCP}\nconstructor,l4,1,4,16,r,1,,,`)).toMatchObject({ added: 1 });
    const rows = await store.transaction(WORKER, (tx) => tx.find(offers, {}));
    expect(rows.map((row) => toOfferView(toOffer(row)))).toEqual(
      rows.map((row) => offerView.parse(toOfferView(toOffer(row)))),
    );
    expect(rows[0]?.body.interconnect.interNodeGbps).toBeNull();
    const gpu = 'provider,sku,region,gpu,count,pricePerHourUsd,vramGiB\nacme,a,r1,constructor,1,1,16\n';
    expect(await importer(store)('berth-csv', gpu)).toMatchObject({
      rejections: [{ line: 2, reason: expect.stringContaining('GPU "constructor" is unknown') }],
    });
  });

  it('takes a time of tomorrow as now', async () => {
    const store = memory();
    await importer(store)('berth-csv', csv('acme,a,r1,T4,1,1,,2030-01-01T00:00:00Z'), {
      observedAt: '2031-01-01T00:00:00Z',
    });
    const [row] = await store.transaction(WORKER, (tx) => tx.find(offers, {}));
    expect(row?.observedAt).toBe(Date.UTC(2026, 10, 21));
  });

  it.each<[string, CatalogFormat, string, object]>([
    ['lacks the columns sku, region', 'berth-csv', 'provider,gpu,count,pricePerHourUsd\n', {}],
    ['lacks the columns', 'azure', csv(), {}],
    ['no CSV', 'berth-csv', `${HEAD}\n"open,a`, {}],
    ['is not JSON', 'gpu-pricing', '[{', {}],
    ['no array', 'gpu-pricing', '{}', {}],
    ['not base64', 'aws', '*', { encoding: 'base64' }],
    ['not text in UTF-8', 'aws', Buffer.from([0xff, 0xfe, 0x41]).toString('base64'), { encoding: 'base64' }],
    ['characters that no text has', 'aws', 'a\0b', {}],
    ['damaged or cut short', 'aws', gzipSync('a,b').subarray(0, 15).toString('base64'), { encoding: 'base64' }],
    [
      'larger than 16777216 bytes',
      'aws',
      gzipSync(Buffer.alloc(16_777_217, 10)).toString('base64'),
      { encoding: 'base64' },
    ],
    ['50001 lines; the most is 50000', 'aws', '\n'.repeat(50_000), {}],
    ['50001 lines; the most is 50000', 'aws', '\r'.repeat(50_000), {}],
    ['50001 lines; the most is 50000', 'aws', '\r\n'.repeat(50_000), {}],
    ['50001 elements; the most is 50000', 'gpu-pricing', `[${'0,'.repeat(50_000)}0]`, {}],
    ['50001 elements; the most is 50000', 'vast-ai', `{"offers":[${'0,'.repeat(50_000)}0]}`, {}],
  ])('is refused: %s', async (message, format, content, more) => {
    const body = { format, content: content === '' ? ' ' : content, ...more };
    await expect(importPriceList(memory(), catalog, BROKER, catalogImportSchema.parse(body))).rejects.toThrow(message);
  });
});
