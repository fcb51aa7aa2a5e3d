import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { StaleVersion, StateMachine } from '#kernel';
import { table, WORKER, type Tx } from '#platform/database';
import { specStores, type SpecStore } from '#testing';
import { events, transition, type Reconciled } from './index.js';

type State = 'closed' | 'open' | 'walled';
interface DoorRow extends Reconciled<State> {
  note: string | null;
}
const machine = new StateMachine<State>('door', 'closed', { closed: ['open', 'walled'], open: ['closed'], walled: [] });
const doors = table<DoorRow>(
  'spec_doors',
  {
    id: 'text',
    organizationId: 'text',
    projectId: 'text',
    state: 'text',
    version: 'int',
    wakeAt: 'time',
    note: 'text',
  },
  { key: ['id'] },
);
const DOORS_SQL = `create table spec_doors (id text primary key, organization_id text not null, project_id text not null,
  state text not null, version integer not null, wake_at timestamptz, note text);
  grant select, insert, update on spec_doors to berth_worker`;

describe.each(specStores)('transition $name', ({ open }) => {
  let opened: SpecStore;
  beforeAll(async () => {
    opened = await open();
    await opened.postgres?.owner.query(DOORS_SQL);
  });
  afterAll(async () => opened.close());

  const tx = <T>(work: (t: Tx) => Promise<T>): Promise<T> => opened.store.transaction(WORKER, work);
  let made = 0;
  const door = async (state: State = 'closed'): Promise<DoorRow> => {
    const id = `door-${made++}`;
    const row = { id, organizationId: 'org_1', projectId: 'prj_1', state, version: 1, wakeAt: null, note: null };
    await tx((t) => t.insert(doors, row));
    return row;
  };
  const read = (id: string): Promise<DoorRow | null> => tx((t) => t.first(doors, { id }));
  const told = (subjectId: string) => tx((t) => t.find(events, { subjectId }, { orderBy: [['n', 'asc']] }));
  const go = (
    row: DoorRow,
    to: State,
    change: Partial<Parameters<typeof transition<State, DoorRow>>[5]> = {},
  ): Promise<DoorRow> =>
    tx((t) => transition(t, doors, machine, row, to, { wakeAt: null, message: `now ${to}`, ...change }));

  it('moves the row, raises its version and writes the event, together', async () => {
    const row = await door();
    const after = await go(row, 'open', { patch: { note: 'draughty' }, wakeAt: 1_763_700_000_000 });
    expect(after).toEqual({ ...row, state: 'open', version: 2, wakeAt: 1_763_700_000_000, note: 'draughty' });
    expect(await read(row.id)).toEqual(after);
    expect(await told(row.id)).toEqual([
      {
        subjectId: row.id,
        n: 2,
        organizationId: 'org_1',
        projectId: 'prj_1',
        type: 'door.open',
        fromState: 'closed',
        toState: 'open',
        message: 'now open',
        at: expect.any(Number),
      },
    ]);
  });

  it('refuses a step that is not in the table, and writes nothing', async () => {
    const row = await door('open');
    await expect(go(row, 'walled')).rejects.toThrow('door: open -> walled is not in the state table');
    expect([await read(row.id), await told(row.id)]).toEqual([row, []]);
  });

  it('lets nothing that has ended change, not even in place', async () => {
    const row = await door('walled');
    await expect(go(row, 'open')).rejects.toThrow('not in the state table');
    await expect(go(row, 'walled', { patch: { note: 'x' } })).rejects.toThrow('has ended and changes no more');
    expect([await read(row.id), await told(row.id)]).toEqual([row, []]);
  });

  it('changes a row in place: a new version, and an event only where one is named', async () => {
    const row = await door();
    const quiet = await go(row, 'closed', { patch: { note: 'quiet' } });
    const loud = await go(quiet, 'closed', { type: 'door.knocked', message: 'who is there' });
    expect([quiet.version, loud.version]).toEqual([2, 3]);
    expect((await told(row.id)).map((e) => [e.n, e.type, e.fromState, e.toState, e.message])).toEqual([
      [3, 'door.knocked', 'closed', 'closed', 'who is there'],
    ]);
  });

  it('throws when somebody else moved the row first, and undoes what its transaction did before', async () => {
    const row = await door();
    await go(row, 'open');
    const late = tx(async (t) => {
      await t.insert(doors, { ...row, id: `${row.id}-side-effect` });
      return transition(t, doors, machine, row, 'walled', { wakeAt: null, message: 'too late' });
    });
    await expect(late).rejects.toBeInstanceOf(StaleVersion);
    expect((await read(row.id))?.state).toBe('open');
    expect(await read(`${row.id}-side-effect`)).toBeNull();
    expect((await told(row.id)).map((e) => e.toState)).toEqual(['open']);
  });

  it('lets one of many win, and numbers the events without a gap', async () => {
    const row = await door();
    const tries = await Promise.allSettled(Array.from({ length: 10 }, () => go(row, 'open')));
    expect(tries.filter((t) => t.status === 'fulfilled')).toHaveLength(1);
    for (const t of tries) if (t.status === 'rejected') expect(t.reason).toBeInstanceOf(StaleVersion);
    let now = (await read(row.id)) ?? row;
    for (const to of ['closed', 'open', 'closed', 'walled'] as const) now = await go(now, to);
    expect((await told(row.id)).map((e) => e.n)).toEqual([2, 3, 4, 5, 6]);
  });

  it('cannot have its guard or its version overruled by the patch', async () => {
    const row = await door();
    const after = await go(row, 'open', { patch: { version: 70, state: 'walled', wakeAt: 5 } });
    expect([after.state, after.version, after.wakeAt]).toEqual(['open', 2, null]);
  });
});
