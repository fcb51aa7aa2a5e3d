import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Cursors } from './cursor.js';
import { TestApi, type Json, type TestTenant } from '../../testing/test-api.js';

let api: TestApi;
let tenant: TestTenant;
let other: TestTenant;

beforeAll(async () => {
  api = await TestApi.start();
  [tenant, other] = [await api.tenant('One'), await api.tenant('Two')];
  for (const { key } of [tenant, other]) {
    for (let i = 0; i < 6; i++) await api.call('POST /v1/projects', { key, body: { name: `p${i}` } });
  }
});
afterAll(() => api.close());

const list = (query: string, key = tenant.key, path = '/v1/projects') =>
  api.call(`GET ${path}?${query}` as 'GET /', { key });
const ids = (body: Json): string[] => (body['items'] as { id: string }[]).map((item) => item.id);
const firstCursor = async (): Promise<string> => String((await list('limit=2')).body['nextCursor']);

describe('a list', () => {
  it('comes in pages that together are the whole, each item once, in a total order', async () => {
    const whole = ids((await list('limit=200')).body);
    expect(whole).toHaveLength(7);
    expect(whole).toEqual([...whole].sort());
    for (const limit of [1, 2, 3, 7]) {
      const seen: string[] = [];
      let cursor: unknown = '';
      do {
        const { body } = await list(`limit=${limit}${cursor === '' ? '' : `&cursor=${String(cursor)}`}`);
        seen.push(...ids(body));
        cursor = body['nextCursor'];
      } while (cursor !== null);
      expect(seen).toEqual(whole);
    }
  });

  it.each([
    ['made up', () => 'abc'],
    ['JSON of the right form', () => Buffer.from(JSON.stringify({ after: ['prj_0'], mac: 'x' })).toString('base64url')],
    ['with an empty MAC', () => Buffer.from(JSON.stringify({ after: ['prj_0'], mac: '' })).toString('base64url')],
    ['no text', () => '%00%ff'],
  ])('refuses a cursor that is %s', async (_, make) => {
    const { status, body } = await list(`cursor=${make()}`);
    expect([status, body['code'], body['field']]).toEqual([400, 'invalid-cursor', 'cursor']);
  });

  it('refuses a cursor whose position was changed', async () => {
    const form = JSON.parse(Buffer.from(await firstCursor(), 'base64url').toString()) as { after: string[] };
    const moved = Buffer.from(JSON.stringify({ ...form, after: [`prj_${'0'.repeat(26)}`] })).toString('base64url');
    expect((await list(`cursor=${moved}`)).body['code']).toBe('invalid-cursor');
  });

  it("refuses another tenant's cursor, and one of another list", async () => {
    const cursor = await firstCursor();
    expect((await list(`cursor=${cursor}`)).status).toBe(200);
    expect((await list(`cursor=${cursor}`, other.key)).body['code']).toBe('invalid-cursor');
    expect((await list(`cursor=${cursor}`, tenant.key, '/v1/keys')).body['code']).toBe('invalid-cursor');
    const state = await list(`cursor=${cursor}`, tenant.key, '/v1/jobs');
    expect(state.body['code']).toBe('invalid-cursor');
  });

  it('takes a cursor with another page size', async () => {
    expect(ids((await list(`limit=5&cursor=${await firstCursor()}`)).body)).toHaveLength(5);
  });
});

describe('cursors', () => {
  const cursors = new Cursors(Buffer.alloc(32, 1));
  const values = fc.array(fc.oneof(fc.string(), fc.integer(), fc.bigInt()), { minLength: 1, maxLength: 4 });

  it('give back what was put in, exactly', () => {
    fc.assert(
      fc.property(fc.string(), values, (name, after) => {
        expect(cursors.decode(name, cursors.encode(name, after))).toEqual(after);
      }),
    );
  });

  it('belong to one list and one installation', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), values, (a, b, after) => {
        fc.pre(a !== b);
        const cursor = cursors.encode(a, after);
        expect(() => cursors.decode(b, cursor)).toThrow(expect.objectContaining({ code: 'invalid-cursor' }));
        expect(() => new Cursors(Buffer.alloc(32, 2)).decode(a, cursor)).toThrow(
          expect.objectContaining({ code: 'invalid-cursor' }),
        );
      }),
    );
  });
});
