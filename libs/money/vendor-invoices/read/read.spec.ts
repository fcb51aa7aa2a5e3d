import { describe, expect, it } from '@jest/globals';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { DomainError, HOUR, usd } from '#kernel';
import { amountOf, timeOf } from './line.js';
import { readVendorInvoice, type VendorFormat } from './index.js';

/** In pieces of a few bytes, as a network gives them. */
async function* pieces(content: string | Uint8Array, size = 7): AsyncGenerator<Uint8Array> {
  const all = Buffer.from(content as Uint8Array);
  for (let at = 0; at < all.length; at += size) yield await Promise.resolve(all.subarray(at, at + size));
}
const read = (format: VendorFormat, content: string | Uint8Array, badLines: 'stop' | 'skip' = 'stop') =>
  readVendorInvoice(pieces(content), { format, badLines });
const refused = async (work: Promise<unknown>): Promise<DomainError> => {
  const error = await work.then(
    () => null,
    (e: unknown) => e,
  );
  if (!(error instanceof DomainError)) throw new Error(`was not refused: ${String(error)}`);
  return error;
};
const at = (time: string): number => Date.parse(`2026-11-${time}Z`);

const CUR2 = `identity_line_item_id,identity_time_interval,line_item_usage_start_date,line_item_usage_end_date,line_item_resource_id,line_item_product_code,line_item_line_item_type,line_item_usage_type,line_item_usage_amount,pricing_unit,line_item_currency_code,line_item_unblended_cost
abc,2026-11-01T00:00:00Z/2026-11-01T01:00:00Z,2026-11-01T00:00:00Z,2026-11-01T01:00:00Z,i-0a1,AmazonEC2,Usage,BoxUsage:p4d.24xlarge,0.5,Hrs,USD,16.3863000000
def,2026-11-01T00:00:00Z/2026-11-01T01:00:00Z,2026-11-01T00:00:00Z,2026-11-01T01:00:00Z,arn:aws:ec2:us-east-1:123:instance/i-0a2,AmazonEC2,Usage,DataTransfer-Out-Bytes,12,GB,USD,1.2E-7
ghi,2026-11-01T00:00:00Z/2026-11-01T01:00:00Z,2026-11-01T00:00:00Z,2026-12-01T00:00:00Z,,AWSSupport,Fee,,1,,USD,29
`;
const CUR1 = `identity/LineItemId,identity/TimeInterval,lineItem/UsageStartDate,lineItem/UsageEndDate,lineItem/ResourceId,lineItem/ProductCode,lineItem/LineItemType,lineItem/UsageType,lineItem/UsageAmount,pricing/unit,lineItem/CurrencyCode,lineItem/UnblendedCost
${CUR2.split('\n').slice(1).join('\n')}`;

describe('an AWS Cost and Usage Report', () => {
  it('is read by the names of CUR 2.0 and of the legacy report alike', async () => {
    const [two, one] = [await read('aws-cur', CUR2), await read('aws-cur', CUR1)];
    expect(one.lines).toEqual(two.lines);
    expect(two.lines[0]).toMatchObject({
      n: 2,
      key: 'abc 2026-11-01T00:00:00Z/2026-11-01T01:00:00Z',
      machineIds: ['i-0a1'],
      what: 'AmazonEC2 Usage BoxUsage:p4d.24xlarge',
      fromMs: at('01T00:00:00'),
      toMs: at('01T01:00:00'),
      amountNano: usd('16.3863'),
      statedMs: HOUR / 2,
    });
    expect(two.lines[1]).toMatchObject({
      machineIds: ['arn:aws:ec2:us-east-1:123:instance/i-0a2', 'i-0a2'],
      amountNano: 120n,
      statedMs: null,
    });
    expect(two.lines[2]).toMatchObject({ machineIds: [], amountNano: usd('29') });
  });

  it('is the same packed', async () => {
    const [plain, packed] = [await read('aws-cur', CUR2), await read('aws-cur', gzipSync(CUR2))];
    expect(packed).toEqual(plain);
    const broken = await refused(read('aws-cur', gzipSync(CUR2.repeat(9)).subarray(0, 200)));
    expect(broken.code).toBe('vendor-invoice-broken');
  });

  it('without resource ids is refused with how to get them', async () => {
    const error = await refused(read('aws-cur', CUR2.replace('line_item_resource_id', 'other')));
    expect(error.message).toBe('Line 1: there is no column line_item_resource_id.');
    expect(error.details.fix).toBe('Export the Cost and Usage Report again with resource ids included.');
  });
});

describe('a Google Cloud billing export', () => {
  const row = {
    billing_account_id: 'x',
    service: { id: 's', description: 'Compute Engine' },
    sku: { id: 'k', description: 'Nvidia H100 GPU running in Americas' },
    usage_start_time: '2026-11-01 00:00:00 UTC',
    usage_end_time: '2026-11-01 01:00:00 UTC',
    resource: {
      name: 'gpu-7',
      global_name: '//compute.googleapis.com/projects/1/zones/us-central1-a/instances/4711',
    },
    cost: 9.75,
    currency: 'USD',
    cost_type: 'regular',
    credits: [{ name: 'Sustained use', amount: -1.25 }],
  };
  const [first] = [
    {
      machineIds: [row.resource.global_name, '4711', 'gpu-7'],
      what: 'Compute Engine Nvidia H100 GPU running in Americas',
      fromMs: at('01T00:00:00'),
      toMs: at('01T01:00:00'),
      amountNano: usd('8.5'),
      statedMs: null,
    },
  ];

  it('is read as JSON lines and as CSV, credits taken off', async () => {
    const json = await read('gcp', `${JSON.stringify(row)}\n\n${JSON.stringify(row)}`);
    const csv = await read(
      'gcp',
      [
        'service.description,sku.description,usage_start_time,usage_end_time,resource_name,resource_global_name,cost,currency,cost_type,credits',
        `Compute Engine,${row.sku.description},2026-11-01T00:00:00Z,2026-11-01 01:00:00+00,gpu-7,${row.resource.global_name},9.75,USD,regular,"[{""amount"":-1.25}]"`,
      ].join('\n'),
    );
    expect(json.lines).toMatchObject([
      { n: 1, ...first },
      { n: 3, ...first },
    ]);
    expect(csv.lines).toMatchObject([{ n: 2, ...first }]);
    // Lines that say the same are two bills; in each file they have the same two keys.
    expect(json.lines[0]?.key).not.toBe(json.lines[1]?.key);
    expect(csv.lines[0]?.key).toBe(json.lines[0]?.key);
  });

  it('in another currency is refused', async () => {
    const error = await refused(read('gcp', JSON.stringify({ ...row, currency: 'EUR' })));
    expect(error.message).toBe('Line 1: currency is "EUR", not USD.');
  });
});

describe('a plain CSV', () => {
  const HEADING = 'machine_id,from,to,amount_usd,line_id,duration_s\n';
  const GOOD = 'm-1,2026-11-01T00:00:00Z,2026-11-01T02:00:00Z,$3.50,L1,3600\n';

  it('says how long a machine ran, or it ran all the time', async () => {
    const { lines } = await read('csv', `${HEADING}${GOOD}m-2,2026-11-01,2026-11-02,-1,,\n`);
    expect(lines).toMatchObject([
      { key: 'L1', machineIds: ['m-1'], amountNano: usd('3.5'), statedMs: HOUR },
      { machineIds: ['m-2'], amountNano: -usd('1'), statedMs: 24 * HOUR },
    ]);
  });

  const BAD = [
    ['m-1,yesterday,2026-11-02,1,,', 'from is "yesterday", not a time'],
    ['m-1,2026-11-02,2026-11-01,1,,', 'to (2026-11-01) is before from (2026-11-02)'],
    ['m-1,2026-11-01,2026-11-02,1;50,,', 'amount_usd is "1;50", not an amount'],
    ['m-1,2026-11-01,2026-11-02,,,', 'amount_usd is empty, not an amount'],
    ['m-1,2026-11-01,2026-11-02,1,,-5', 'duration_s is "-5", not a length of time'],
    ['m-1,2026-11-01', 'it has 2 fields of 6'],
  ] as const;

  it.each(BAD)('with %s says which line is wrong, and how', async (line, message) => {
    const error = await refused(read('csv', `${HEADING}${GOOD}${line}\n`));
    expect([error.code, error.message, error.details.field]).toEqual([
      'vendor-line-invalid',
      `Line 3: ${message}.`,
      'line 3',
    ]);
    expect(error.details.fix).toMatch(/\w/);
  });

  it('with bad lines stops with all of them, or skips and counts them', async () => {
    const content = `${HEADING}${BAD.map(([line]) => `${line}\n${GOOD}`).join('')}`;
    const error = await refused(read('csv', content));
    expect(error.details.problems?.map((p) => p.field)).toEqual([2, 4, 6, 8, 10, 12].map((n) => `line ${n}`));
    const { lines, skipped, problems } = await read('csv', content, 'skip');
    expect([lines.length, skipped]).toEqual([6, 6]);
    expect(problems.map((p) => [p.line, p.message])).toEqual(BAD.map(([, message], i) => [2 + 2 * i, message]));
  });

  it('that is empty, too long, or no CSV is refused', async () => {
    expect((await refused(read('csv', HEADING))).code).toBe('vendor-invoice-empty');
    expect((await refused(read('csv', ''))).code).toBe('vendor-invoice-empty');
    expect((await refused(read('csv', `${HEADING}"m`))).message).toContain('it is not CSV');
    const limits = { lines: 2, bytes: 1_000 };
    const long = (content: string) => readVendorInvoice(pieces(content), { format: 'csv', badLines: 'stop' }, limits);
    expect((await refused(long(HEADING + GOOD.repeat(3)))).message).toContain('more than 2 lines');
    expect((await refused(long(HEADING + '\n'.repeat(1_000)))).message).toContain('too large');
  });
});

describe('amounts and times of vendors', () => {
  it('are exact in any notation', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(10n ** 15n), max: 10n ** 15n }),
        fc.integer({ min: -6, max: 9 }),
        (n, exponent) => {
          expect(amountOf(`${n}e${exponent - 9}`, 'x')).toBe(
            exponent >= 0 ? n * 10n ** BigInt(exponent) : usd(scaled(n, 9 - exponent)),
          );
        },
      ),
    );
    expect(['1.5', '-.5', '+2.', '0.0000000005'].map((t) => amountOf(t, 'x'))).toEqual([
      usd('1.5'),
      -usd('0.5'),
      usd('2'),
      1n,
    ]);
  });
  it('are in UTC unless they say another zone', () => {
    expect(
      ['2026-11-01 02:30', '2026-11-01T02:30:00.000Z', '2026-11-01 03:30:00+0100', '2026-11-01 00:30:00-02'].map((t) =>
        timeOf(t, 'x'),
      ),
    ).toEqual(Array.from({ length: 4 }, () => at('01T02:30:00')));
  });
});

/** n / 10^places as plain text. */
function scaled(n: bigint, places: number): string {
  const digits = String(n < 0n ? -n : n).padStart(places + 1, '0');
  return `${n < 0n ? '-' : ''}${digits.slice(0, -places)}.${digits.slice(-places)}`;
}
