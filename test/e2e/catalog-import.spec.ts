import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { catalogFormats, type CatalogImportView } from '#contracts';
import { TestApi, type Json } from '../../apps/api/testing/test-api.js';
import { FORMATS } from '../../apps/cli/commands/catalog.js';
import { program } from '../../apps/cli/program.js';

const root = join(import.meta.dirname, '../..');
const before = { ...process.env };
const home = mkdtempSync(join(tmpdir(), 'berth-import-'));
let api: TestApi;
let tenantKey: string;

beforeAll(async () => {
  api = await TestApi.start();
  tenantKey = (await api.tenant()).key;
  await api.app.listen(0, '127.0.0.1');
  process.env['BERTH_CLI_URL'] = await api.app.getUrl();
  process.env['BERTH_CLI_KEY'] = api.platformKey;
});
afterAll(async () => {
  process.env = before;
  await api.close();
  rmSync(home, { recursive: true, force: true });
});

/** Runs a command as the program does, and gives back what it printed, and what it told. */
async function run(...args: string[]): Promise<{ out: string; err: string }> {
  const seen = { out: '', err: '' };
  const spies = [
    jest.spyOn(process.stdout, 'write').mockImplementation((text) => ((seen.out += String(text)), true)),
    jest.spyOn(process.stderr, 'write').mockImplementation((text) => ((seen.err += String(text)), true)),
  ];
  try {
    await program().parseAsync(args, { from: 'user' });
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return seen;
}
const berth = async (...args: string[]): Promise<string> => (await run(...args)).out;
const imported = async (...args: string[]): Promise<CatalogImportView> =>
  JSON.parse(await berth('catalog', 'import', ...args, '--json')) as CatalogImportView;
const file = (name: string, content: string | Buffer): string => {
  writeFileSync(join(home, name), content);
  return join(home, name);
};
const imports = async (): Promise<Json[]> =>
  (await api.call('GET /v1/admin/audit?action=catalog.import', { key: api.platformKey })).body['items'] as Json[];
const HEAD = 'provider,sku,region,gpu,count,pricePerHourUsd\n';

describe('docs/operations.md, price lists from files', () => {
  const page = readFileSync(join(root, 'docs/operations.md'), 'utf8');
  const [, section = ''] = /### Price lists from files\n([\s\S]*?)\n## /.exec(page) ?? [];
  const lines = [...section.matchAll(/^berth .+$/gm)].map(([line]) => line);

  it('shows an import of every format', () => {
    for (const format of catalogFormats) expect(lines.some((line) => line.includes(`--format ${format}`))).toBe(true);
  });

  it.each(lines)('%s', async (line) => {
    const args = line
      .split(' ')
      .slice(1)
      .map((a) => (a.startsWith('docs/') ? join(root, a) : a));
    const printed = await berth(...args);
    if (line.endsWith('--json')) expect(JSON.parse(printed)).toMatchObject({ rejected: 0 });
    else expect(printed.trim().split('\n').length).toBeGreaterThan(2);
    if (line.endsWith('nordic-metal')) expect(printed).toContain('h100-sxm-8');
  });

  it('names every column of berth-csv', async () => {
    const formats = JSON.parse(await berth('catalog', 'formats', '--json')) as {
      name: string;
      columns: string[];
      optionalColumns: string[];
    }[];
    const own = formats.find(({ name }) => name === 'berth-csv');
    const named = [...section.matchAll(/^\| ([\w, ]+?) +\|/gm)].flatMap(([, cell = '']) => cell.split(', '));
    const columns = [...(own?.columns ?? []), ...(own?.optionalColumns ?? [])];
    expect(named.slice(1).sort()).toEqual(columns.sort());
  });
});

describe('berth catalog import', () => {
  it('knows the formats of the API', () => expect(FORMATS).toEqual(catalogFormats));

  it('shows counts, what was kept aside and each rejected line', async () => {
    const told = (await imports()).length;
    const list = file('odd.csv', `${HEAD}odd,a,r,T4,1,1\nodd,b,r,T4,1,0\nodd,c,r,H10O,1,1\n`);
    const printed = await berth('catalog', 'import', list, '--format', 'berth-csv', '--dry-run');
    expect(printed).toMatch(/^added\t1$/m);
    expect(printed).toMatch(/^kept aside: berth-csv:odd\/b\/r\/on-demand: the price is zero$/m);
    expect(printed).toMatch(/^line 4: c: GPU "H10O" is unknown; did you mean H100/m);
    expect(printed).toContain('A dry run: nothing was changed.');
    expect(await imports()).toHaveLength(told);
    expect(await imported(list, '--format', 'berth-csv')).toMatchObject({ added: 1, quarantined: 1, rejected: 1 });
    expect(await berth('admin', 'quarantine', 'ls')).toContain('berth-csv:odd/b/r/on-demand');
    const [entry] = await imports();
    expect(entry).toMatchObject({ subject: 'berth-csv', after: { offers: 2, added: 1, quarantined: 1, rejected: 1 } });
  });

  it('takes gzip and large files, says how far it is, and dates a list by its file', async () => {
    const lines = Array.from(
      { length: 6_000 },
      (_, n) => `big,${'a-long-name-'.repeat(14)}${n},region-${n % 7},T4,1,1.${n % 10}`,
    );
    const large = file('large.csv', `${HEAD}${lines.join('\n')}\n`);
    utimesSync(large, 1_790_000_000, 1_790_000_000);
    const packed = file('small.csv.gz', gzipSync(`${HEAD}small,a,r,T4,1,1\n`));
    const { out, err } = await run('catalog', 'import', large, '--format', 'berth-csv', '--dry-run');
    expect(out).toMatch(/^added\t6000$/m);
    expect(out).toContain(`observed\t${new Date(1_790_000_000_000).toISOString()}`);
    expect(err).toMatch(/Read \d\.\d MB; sending \d\.\d MB/);
    expect((await run('--quiet', 'catalog', 'import', packed, '--format', 'berth-csv')).err).toBe('');
    expect(await imported(packed, '--format', 'berth-csv')).toMatchObject({ added: 0, unchanged: 1 });
  });

  it.each([
    [['--format', 'gpc'], 'It is one of berth-csv, aws'],
    [[], "required option '--format"],
    [['--format', 'aws', '--observed-at', 'noon'], 'observed-at'],
  ])('refuses %j', async (flags, message) => {
    const list = file('a.csv', HEAD);
    await expect(berth('catalog', 'import', list, ...flags)).rejects.toThrow(message);
  });

  it('is for platform administrators', async () => {
    const body = { format: 'berth-csv', content: HEAD };
    for (const line of ['POST /v1/admin/catalog/imports', 'GET /v1/admin/catalog/formats'] as const) {
      const answer = await api.call(line, { key: tenantKey, ...(line.startsWith('POST') ? { body } : {}) });
      expect(answer.status).toBe(403);
    }
  });

  it('says the limit of a body, the formats, and the columns', async () => {
    const ask = (body: unknown) => api.call('POST /v1/admin/catalog/imports', { key: api.platformKey, body });
    expect(await ask({ format: 'aws', content: 'x'.repeat(4_200_000) })).toMatchObject({
      status: 413,
      body: { detail: 'The body is larger than 4194304 bytes.' },
    });
    const unknown = await ask({ format: 'gpc', content: HEAD });
    expect([unknown.status, JSON.stringify(unknown.body)]).toEqual([400, expect.stringContaining('gpu-pricing')]);
    expect(await ask({ format: 'aws', content: HEAD })).toMatchObject({
      status: 400,
      body: { code: 'not-this-format', fix: expect.stringContaining('instance_type') },
    });
  });
});
