import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '#kernel';
import { SandboxCloud, type SandboxCloudOptions } from './cloud.js';
import type { FaultRule } from './fault.js';
import { defaultSkus, type CloudSettings, type Sku } from './sku.js';
import type { Answer, CloudCreate } from './wire.js';

const start = Date.UTC(2026, 0, 1);
/** Boots in exactly 100 s. */
const sku: Sku = { ...(defaultSkus.find((s) => s.name === 'l4-1x') as Sku), stock: 3, bootMs: [100_000, 100_000] };

function open(
  settings: Partial<CloudSettings> = {},
  faults: FaultRule[] = [],
  more: Partial<SandboxCloudOptions> = {},
): { clock: ManualClock; cloud: SandboxCloud } {
  const clock = new ManualClock(start);
  return { clock, cloud: new SandboxCloud({ clock, seed: 1, skus: [sku], settings, faults, ...more }) };
}

function ask(name: string, more: Partial<CloudCreate> = {}): CloudCreate {
  return {
    sku: sku.name,
    region: sku.region,
    name,
    clientToken: null,
    tags: { owner: 'me' },
    bootstrap: null,
    ...more,
  };
}

function value<T>(answer: Answer<T>): T {
  if (answer.kind !== 'done') throw new Error(JSON.stringify(answer));
  return answer.value;
}

function code(answer: Answer<unknown>): string {
  return answer.kind === 'refused' ? answer.refusal.code : answer.kind;
}

describe('a machine of the fake cloud', () => {
  it('goes through pending, provisioning and running, and is billed from running to terminated', () => {
    const { clock, cloud } = open({ stopMs: 2_000, billing: { minimumS: 0, incrementS: 10 } });
    const { id } = value(cloud.create(ask('a')));
    expect(value(cloud.get(id)).status).toBe('pending');
    clock.advance(10_000);
    expect(value(cloud.get(id))).toMatchObject({ status: 'provisioning', billedFromMs: null, address: null });
    clock.advance(90_000);
    expect(value(cloud.get(id))).toMatchObject({ status: 'running', billedFromMs: start + 100_000 });
    clock.advance(3_600_000);
    cloud.terminate(id);
    expect(value(cloud.get(id)).status).toBe('stopping');
    clock.advance(2_000);
    expect(value(cloud.get(id)).status).toBe('terminated');
    // 3,602 s in steps of 10 s, at $0.71 an hour.
    expect(cloud.bill).toEqual([
      expect.objectContaining({ machineId: id, seconds: 3_610, amount: (710_000_000n * 3_610n + 1_800n) / 3_600n }),
    ]);
  });

  it('bills the minimum for a short life and nothing for one that never ran', () => {
    const { clock, cloud } = open({ billing: { minimumS: 60, incrementS: 1 } });
    const short = value(cloud.create(ask('short'))).id;
    clock.advance(101_000);
    const never = value(cloud.create(ask('never'))).id;
    cloud.terminate(short);
    cloud.terminate(never);
    clock.advance(10_000);
    expect(cloud.bill.map((line) => [line.machineId, line.seconds])).toEqual([[short, 60]]);
  });

  it('bills a failed boot where the vendor bills from provisioning', () => {
    const { clock, cloud } = open({ billedFrom: 'provisioning' }, [{ point: 'machine', kind: 'boot-failure' }]);
    value(cloud.create(ask('a')));
    clock.advance(200_000);
    expect(cloud.bill.map((line) => line.seconds)).toEqual([90]);
  });

  it('is forgotten after the retention time', () => {
    const { clock, cloud } = open({ retentionMs: 1_000, stopMs: 0 });
    const { id } = value(cloud.create(ask('a')));
    cloud.terminate(id);
    clock.advance(1_000);
    expect(value(cloud.get(id)).status).toBe('terminated');
    clock.advance(1);
    expect(code(cloud.get(id))).toBe('not_found');
    expect(value(cloud.list(null)).items).toEqual([]);
  });

  it('is taken away with notice, and silently', () => {
    const { clock, cloud } = open({}, [
      { point: 'machine', kind: 'preemption', arg: 60_000, noticeMs: 20_000, match: { name: 'told' } },
      { point: 'machine', kind: 'preemption', arg: 60_000, match: { name: 'untold' } },
    ]);
    const told = value(cloud.create(ask('told'))).id;
    const untold = value(cloud.create(ask('untold'))).id;
    clock.advance(140_000);
    expect(value(cloud.get(told))).toMatchObject({ status: 'running', interruptAtMs: start + 160_000 });
    expect(value(cloud.get(untold))).toMatchObject({ status: 'running', interruptAtMs: null });
    clock.advance(20_000);
    expect(value(cloud.get(told)).status).toBe('preempted');
    expect(value(cloud.get(untold)).status).toBe('preempted');
    expect(cloud.bill.map((line) => line.seconds)).toEqual([60, 60]);
  });

  it('of a preemptible SKU is lost at the rate of the SKU', () => {
    const hourly = { ...sku, stock: null, preemptionsPerHour: 1, bootMs: [0, 0] as [number, number] };
    const { clock, cloud } = open({}, [], { skus: [hourly] });
    for (let i = 0; i < 1_000; i++) value(cloud.create(ask(`m${i}`)));
    clock.advance(3_600_000);
    const alive = cloud.machines().filter((m) => m.state === 'running').length;
    // exp(-1) = 36.8 % survive the hour; five standard deviations are 76.
    expect(Math.abs(alive - 368)).toBeLessThan(76);
  });

  it('can die without the vendor noticing', () => {
    const { clock, cloud } = open({}, [{ point: 'machine', kind: 'silent-death', arg: 5_000 }]);
    const { id } = value(cloud.create(ask('a')));
    clock.advance(104_999);
    expect(cloud.agentAlive(id)).toBe(true);
    clock.advance(1);
    expect(cloud.agentAlive(id)).toBe(false);
    clock.advance(1_000_000);
    expect(value(cloud.get(id)).status).toBe('running');
  });

  it('boots slowly, and crashes, when told to', () => {
    const { clock, cloud } = open({}, [
      { point: 'machine', kind: 'slow-boot', arg: 50_000 },
      { point: 'machine', kind: 'crash', arg: 1_000 },
    ]);
    const { id } = value(cloud.create(ask('a')));
    clock.advance(149_999);
    expect(value(cloud.get(id)).status).toBe('provisioning');
    clock.advance(1);
    expect(value(cloud.get(id)).status).toBe('running');
    clock.advance(1_000);
    expect(value(cloud.get(id)).status).toBe('failed');
  });
});

describe('stock and quota', () => {
  it('runs out and comes back when a machine has ended', () => {
    const { clock, cloud } = open();
    const ids = ['a', 'b', 'c'].map((name) => value(cloud.create(ask(name))).id);
    expect(value(cloud.offers()).offers[0]?.stock).toBe(0);
    expect(code(cloud.create(ask('d')))).toBe('insufficient_capacity');
    cloud.terminate(ids[0] ?? '');
    expect(code(cloud.create(ask('d')))).toBe('insufficient_capacity');
    clock.advance(2_000);
    expect(code(cloud.create(ask('d')))).toBe('done');
  });

  it('refuses beyond the quota, and what it does not sell', () => {
    const { cloud } = open({ quotaMachines: 1 });
    value(cloud.create(ask('a')));
    expect(code(cloud.create(ask('b')))).toBe('quota_exceeded');
    expect(code(cloud.create(ask('b', { sku: 'b300' })))).toBe('invalid_request');
  });
});

describe('client tokens', () => {
  it('answer the machine made before, even an ended one, and refuse another request under the same token', () => {
    const { clock, cloud } = open({ clientTokens: true });
    const request = ask('a', { clientToken: 't' });
    const { id } = value(cloud.create(request));
    expect(value(cloud.create(request)).id).toBe(id);
    expect(code(cloud.create({ ...request, name: 'b' }))).toBe('conflict');
    cloud.terminate(id);
    clock.advance(10_000);
    expect(value(cloud.create(request))).toMatchObject({ id, status: 'terminated' });
    expect(cloud.machines()).toHaveLength(1);
  });

  it('can be forgotten by the vendor', () => {
    const { cloud } = open({ clientTokens: true }, [{ point: 'create', kind: 'duplicate-on-retry', occurrence: 2 }]);
    const request = ask('a', { clientToken: 't' });
    expect(value(cloud.create(request)).id).not.toBe(value(cloud.create(request)).id);
  });

  it('stop a late effect when the request was repeated meanwhile', () => {
    const late: FaultRule = { point: 'create', kind: 'effect-late', occurrence: 1, arg: 5_000 };
    for (const clientTokens of [true, false]) {
      const { clock, cloud } = open({ clientTokens }, [late]);
      const request = ask('a', { clientToken: 't' });
      expect(code(cloud.create(request))).toBe('lost');
      expect(cloud.machines()).toHaveLength(0);
      value(cloud.create(request));
      clock.advance(5_000);
      expect(cloud.machines()).toHaveLength(clientTokens ? 1 : 2);
    }
  });
});

describe('faults of create', () => {
  it('leave nothing behind when the answer is lost before the effect, and a machine after it', () => {
    const { cloud } = open({}, [
      { point: 'create', kind: 'answer-lost-before-effect', occurrence: 1, how: 'reset' },
      { point: 'create', kind: 'answer-lost-after-effect', occurrence: 2 },
    ]);
    expect(cloud.create(ask('a'))).toEqual({ kind: 'lost', how: 'reset' });
    expect(cloud.machines()).toHaveLength(0);
    expect(cloud.create(ask('a'))).toEqual({ kind: 'lost', how: 'hang' });
    expect(cloud.machines()).toHaveLength(1);
  });

  it('name the machine of a failed create, and only one of a doubled one', () => {
    const { cloud } = open({}, [
      { point: 'create', kind: 'failed-with-resource', occurrence: 1 },
      { point: 'create', kind: 'double-create', occurrence: 2 },
    ]);
    const failed = cloud.create(ask('a'));
    expect(failed).toMatchObject({ refusal: { code: 'allocation_failed', resourceId: cloud.machines()[0]?.id } });
    value(cloud.create(ask('b')));
    expect(cloud.machines().map((m) => m.request.name)).toEqual(['a', 'b', 'b']);
  });

  it('strike by occurrence, for a number of times, and only where they match', () => {
    const { cloud } = open({}, [
      { point: 'create', kind: 'rate-limited', occurrence: 2, times: 2, match: { tag: 'owner=me' }, arg: 9_000 },
    ]);
    const codes = ['a', 'b', 'c', 'd'].map((name) => {
      expect(code(cloud.create(ask(`${name}-other`, { sku: 'nothing' })))).toBe('invalid_request');
      return code(cloud.create(ask(name)));
    });
    expect(codes).toEqual(['done', 'rate_limited', 'rate_limited', 'done']);
    expect(cloud.log.filter((entry) => entry.event === 'fault')).toHaveLength(2);
  });
});

describe('reads', () => {
  it('lag by no more than the window', () => {
    const { clock, cloud } = open({ windowMs: 30_000 });
    const { id } = value(cloud.create(ask('a')));
    let missing = 0;
    for (let i = 0; i < 30; i++) {
      clock.advance(1_000);
      if (code(cloud.get(id)) === 'not_found') missing += 1;
    }
    expect(missing).toBeGreaterThan(0);
    expect(missing).toBeLessThan(30);
    for (let i = 0; i < 30; i++) {
      clock.advance(1);
      expect(code(cloud.get(id))).toBe('done');
      expect(value(cloud.list('owner=me')).items).toHaveLength(1);
    }
  });

  it('can be asked for a past instant', () => {
    const { clock, cloud } = open();
    const { id } = value(cloud.create(ask('a')));
    clock.advance(100_000);
    expect(value(cloud.get(id, { asOfMs: start + 10_000 })).status).toBe('provisioning');
    expect(value(cloud.list(null, { asOfMs: start - 1 })).items).toEqual([]);
  });

  it('page through the world of the first page', () => {
    const { clock, cloud } = open({ pageSize: 2 }, [], { skus: [{ ...sku, stock: null }] });
    const ids = ['a', 'b', 'c', 'd'].map((name) => value(cloud.create(ask(name))).id);
    const first = value(cloud.list('owner=me'));
    clock.advance(1_000);
    value(cloud.create(ask('e')));
    const second = value(cloud.list('owner=me', { cursor: first.nextCursor ?? '' }));
    expect([...first.items, ...second.items].map((m) => m.id)).toEqual(ids);
    expect(second.nextCursor).toBeNull();
    expect(code(cloud.list(null, { cursor: 'page2' }))).toBe('invalid_request');
  });

  it.each([
    ['list-empty-by-mistake', []],
    ['list-stale', []],
    ['list-truncated', ['a']],
  ] as const)('lie when told to: %s', (kind, names) => {
    const { clock, cloud } = open({}, [{ point: 'list', kind, occurrence: 1, arg: 10_000 }]);
    value(cloud.create(ask('a')));
    value(cloud.create(ask('b')));
    clock.advance(5_000);
    expect(value(cloud.list(null))).toEqual({
      items: names.map((name) => expect.objectContaining({ name })),
      nextCursor: null,
    });
    expect(value(cloud.list(null)).items).toHaveLength(2);
  });

  it('say 404 and then 200, a world of the past, or a word nobody knows, when told to', () => {
    const { clock, cloud } = open({}, [
      { point: 'get', kind: 'get-404-then-200', occurrence: 1 },
      { point: 'get', kind: 'get-stale', occurrence: 2, arg: 60_000 },
      { point: 'get', kind: 'unknown-status-word', occurrence: 3 },
    ]);
    const { id } = value(cloud.create(ask('a')));
    clock.advance(100_000);
    expect(code(cloud.get(id))).toBe('not_found');
    expect(value(cloud.get(id)).status).toBe('provisioning');
    expect(value(cloud.get(id)).status).toBe('rebalancing');
    expect(value(cloud.get(id)).status).toBe('running');
  });
});

describe('terminate', () => {
  it('lies when told to, and loses its answer after the effect', () => {
    const { clock, cloud } = open({}, [
      { point: 'terminate', kind: 'terminate-lies', occurrence: 1 },
      { point: 'terminate', kind: 'answer-lost-after-effect', occurrence: 2 },
    ]);
    const { id } = value(cloud.create(ask('a')));
    expect(code(cloud.terminate(id))).toBe('done');
    clock.advance(100_000);
    expect(value(cloud.get(id)).status).toBe('running');
    expect(code(cloud.terminate(id))).toBe('lost');
    expect(value(cloud.get(id)).status).toBe('stopping');
    expect(code(cloud.terminate('nobody'))).toBe('not_found');
  });
});

describe('the hand of the one who runs the cloud', () => {
  it('preempts, fails and silences running machines only', () => {
    const { clock, cloud } = open();
    const [a = '', b = '', c = ''] = ['a', 'b', 'c'].map((name) => value(cloud.create(ask(name))).id);
    expect([cloud.preempt(a), cloud.fail(b), cloud.silence(c)]).toEqual([false, false, false]);
    clock.advance(100_000);
    expect([cloud.preempt(a, 5_000), cloud.fail(b), cloud.silence(c)]).toEqual([true, true, true]);
    expect(value(cloud.get(a))).toMatchObject({ status: 'running', interruptAtMs: start + 105_000 });
    expect(value(cloud.get(b)).status).toBe('failed');
    expect([value(cloud.get(c)).status, cloud.agentAlive(c)]).toEqual(['running', false]);
    clock.advance(5_000);
    expect(value(cloud.get(a)).status).toBe('preempted');
  });
});
