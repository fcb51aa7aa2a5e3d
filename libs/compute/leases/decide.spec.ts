import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { machineStates } from '#contracts';
import { defaultLeaseTimes as times, isAlive, judgeMachine, nextAction, probe, takeOverAtMs } from './decide.js';
import type { AgentFacts, LeaseAction, LeaseFacts } from './decide.js';
import { attemptWith, factsWith, gpu, leaseWith, machineWith, NOW } from '#testing';
import { leaseMachine, leaseStates, type LeaseRow } from './leases.table.js';

const WINDOW = 10_000;
const enrolled = (over: Partial<AgentFacts> = {}): AgentFacts => ({
  state: 'enrolled',
  lastSeenAt: NOW,
  facts: factsWith(),
  ...over,
});
const known = (over: Partial<LeaseFacts> = {}): LeaseFacts => ({
  nowMs: NOW,
  attempt: null,
  agent: null,
  consistencyWindowMs: WINDOW,
  acceptance: 'facts',
  awakeSinceMs: NOW - 3_600_000,
  ...over,
});
const decide = (lease: Partial<LeaseRow>, facts: Partial<LeaseFacts> = {}): LeaseAction =>
  nextAction(leaseWith(lease), known(facts), times);

const takeOver = NOW + times.sendBudgetMs + times.callDeadlineMs + WINDOW;
const late = { nowMs: NOW + times.bootTimeoutMs + 1 };
const ready: Partial<LeaseRow> = { state: 'ready', chargedThrough: NOW };
const silentAt = NOW + times.agentSilenceMs;

describe('the next action of a lease', () => {
  it.each<[string, Partial<LeaseRow>, Partial<LeaseFacts>, object]>([
    ['asks the vendor', { state: 'requested' }, {}, { do: 'call' }],
    ['asks although its wake time was just set by a clock a little ahead', { wakeAt: NOW + 1 }, {}, { do: 'call' }],
    [
      'waits as long as the vendor said before it asks again',
      { attemptN: 1, wakeAt: NOW + 5_000 },
      {},
      { do: 'rest', untilMs: NOW + 5_000 },
    ],
    ['asks again after that', { attemptN: 1, wakeAt: NOW }, {}, { do: 'call' }],
    ['gives up after all tries', { attemptN: times.maxAttempts }, {}, { do: 'give-up', reason: 'failed' }],
    ['ends unasked when let go', { want: 'release' }, {}, { do: 'give-up', reason: 'released' }],
    [
      'is released rather than failed when both hold',
      { want: 'release', attemptN: times.maxAttempts },
      {},
      { do: 'give-up', reason: 'released' },
    ],
    ['leaves the caller its time', { state: 'calling' }, { attempt: attemptWith() }, { do: 'rest', untilMs: takeOver }],
    [
      'leaves the caller its time to the last millisecond',
      { state: 'calling' },
      { attempt: attemptWith(), nowMs: takeOver - 1 },
      { do: 'rest' },
    ],
    ['takes over then', { state: 'calling' }, { attempt: attemptWith(), nowMs: takeOver }, { do: 'take-over' }],
    ['takes over a call without an attempt', { state: 'calling' }, {}, { do: 'take-over' }],
    [
      'does not cut a call short when let go',
      { state: 'calling', want: 'release' },
      { attempt: attemptWith() },
      { do: 'rest' },
    ],
    ['looks', { state: 'unknown', wakeAt: NOW }, {}, { do: 'look' }],
    ['looks a window later', { state: 'unknown', wakeAt: NOW + WINDOW }, {}, { do: 'rest', untilMs: NOW + WINDOW }],
    ['looks even when let go', { state: 'unknown', want: 'release' }, {}, { do: 'look' }],
    ['asks how the machine is', { state: 'provisioning', wakeAt: NOW }, {}, { do: 'poll' }],
    ['rests between polls', { state: 'provisioning', wakeAt: NOW + 1 }, {}, { do: 'rest', untilMs: NOW + 1 }],
    ['waits no longer for a start', { state: 'provisioning' }, late, { do: 'terminate', reason: 'failed' }],
    [
      'waits for a start to the last millisecond',
      { state: 'provisioning' },
      { nowMs: NOW + times.bootTimeoutMs },
      { do: 'poll' },
    ],
    ['removes what starts unwanted', { state: 'provisioning', want: 'release' }, {}, { reason: 'released' }],
    ['polls until the agent is there', { state: 'booting', wakeAt: NOW }, {}, { do: 'poll' }],
    [
      'polls while the agent is only invited',
      { state: 'booting' },
      { agent: enrolled({ state: 'invited' }) },
      { do: 'poll' },
    ],
    ['accepts what is as sold', { state: 'booting' }, { agent: enrolled() }, { do: 'accept' }],
    ['accepts late rather than not', { state: 'booting' }, { ...late, agent: enrolled() }, { do: 'accept' }],
    [
      'rejects what is not as sold',
      { state: 'booting' },
      { agent: enrolled({ facts: factsWith({ vcpus: 2 }) }) },
      { do: 'terminate', reason: 'rejected', message: 'sold with 4 vCPUs, found 2' },
    ],
    [
      'does not measure simulated hardware',
      { state: 'booting' },
      { agent: enrolled({ facts: factsWith({ vcpus: 2 }) }), acceptance: 'enrolled' },
      { do: 'accept' },
    ],
    ['waits no longer for an agent', { state: 'booting' }, late, { do: 'terminate', reason: 'failed' }],
    [
      'removes what boots unwanted',
      { state: 'booting', want: 'release' },
      { agent: enrolled() },
      { reason: 'released' },
    ],
    ['polls what runs', { ...ready, wakeAt: NOW }, { agent: enrolled() }, { do: 'poll' }],
    [
      'meters every minute',
      { ...ready, wakeAt: NOW + times.meterEveryMs + 5 },
      { agent: enrolled({ lastSeenAt: NOW + times.meterEveryMs }), nowMs: NOW + times.meterEveryMs },
      { do: 'meter' },
    ],
    ['is released', { ...ready, want: 'release' }, { agent: enrolled() }, { do: 'terminate', reason: 'released' }],
    [
      'is released rather than lost',
      { ...ready, want: 'release' },
      { agent: enrolled({ state: 'gone' }) },
      { do: 'terminate', reason: 'released' },
    ],
    [
      'is lost when silent',
      ready,
      { agent: enrolled(), nowMs: silentAt + 1, awakeSinceMs: NOW },
      { do: 'terminate', reason: 'lost' },
    ],
    [
      'is not lost before',
      { ...ready, chargedThrough: silentAt },
      { agent: enrolled(), nowMs: silentAt },
      { do: 'poll' },
    ],
    [
      'does not blame the agent for the broker’s own absence',
      { ...ready, chargedThrough: silentAt + 1 },
      { agent: enrolled(), nowMs: silentAt + 1, awakeSinceMs: silentAt },
      { do: 'poll' },
    ],
    ['is lost when its agent was retired', ready, { agent: enrolled({ state: 'gone' }) }, { reason: 'lost' }],
    [
      'ends when idle for long enough',
      { ...ready, jobId: null, keepUntil: NOW },
      { agent: enrolled() },
      { reason: 'released' },
    ],
    ['stays warm until then', { ...ready, jobId: null, keepUntil: NOW + 1 }, { agent: enrolled() }, { do: 'poll' }],
    [
      'keeps what works although it was to be kept only so long',
      { ...ready, keepUntil: NOW },
      { agent: enrolled() },
      { do: 'poll' },
    ],
    [
      'drains until the notice runs out',
      { ...ready, state: 'draining', drainUntil: NOW + 1 },
      { agent: enrolled() },
      { do: 'poll' },
    ],
    [
      'is preempted then',
      { ...ready, state: 'draining', drainUntil: NOW },
      { agent: enrolled() },
      { reason: 'preempted' },
    ],
    ['finishes the removal', { state: 'terminating', wakeAt: NOW }, {}, { do: 'finish-terminate' }],
    ['asks again later', { state: 'terminating', wakeAt: NOW + 9 }, {}, { do: 'rest', untilMs: NOW + 9 }],
    ['rests for ever', { state: 'ended', wakeAt: NOW }, { agent: enrolled() }, { do: 'rest', untilMs: null }],
  ])('%s', (_, lease, facts, expected) => {
    expect(decide(lease, facts)).toMatchObject(expected);
  });

  it('is defined for every lease, whatever is known, and an ended one rests', () => {
    const time = fc.option(fc.integer({ min: NOW - 1e8, max: NOW + 1e8 }), { nil: null });
    const lease = fc.record({
      state: fc.constantFrom(...leaseStates),
      want: fc.constantFrom('run' as const, 'release' as const),
      jobId: fc.constantFrom('job_1', null),
      attemptN: fc.integer({ min: 0, max: 3 }),
      wakeAt: time,
      keepUntil: time,
      drainUntil: time,
      chargedThrough: time,
      stateSince: fc.integer({ min: NOW - 1e8, max: NOW }),
    });
    const facts = fc.record({
      nowMs: fc.integer({ min: NOW - 1e8, max: NOW + 1e8 }),
      attempt: fc.constantFrom(null, attemptWith()),
      agent: fc.option(
        fc.record({
          state: fc.constantFrom('invited' as const, 'enrolled' as const, 'gone' as const),
          lastSeenAt: time,
          facts: fc.constantFrom(null, factsWith(), factsWith({ vcpus: 1 })),
        }),
        { nil: null },
      ),
      awakeSinceMs: fc.integer({ min: NOW - 1e8, max: NOW + 1e8 }),
      acceptance: fc.constantFrom('facts' as const, 'enrolled' as const),
    });
    fc.assert(
      fc.property(lease, facts, (row, given) => {
        const action = decide(row, given);
        if (leaseMachine.isTerminal(row.state)) expect(action).toEqual({ do: 'rest', untilMs: null });
        // Only an ended lease is left without a time to look again.
        else if (action.do === 'rest') expect(action.untilMs).toBeGreaterThan(given.nowMs);
        if (row.want === 'release') expect(['call', 'accept', 'meter']).not.toContain(action.do);
        // What the vendor may have made is never given up without having looked.
        if (action.do === 'give-up') expect(row.state).toBe('requested');
      }),
      { numRuns: 2_000 },
    );
  });

  it('counts the time to take over from the intent', () => {
    expect(takeOverAtMs({ intentAt: 7 }, times, 100)).toBe(7 + 5_000 + 60_000 + 100);
  });
});

describe('the acceptance probe', () => {
  const h100 = { ...leaseWith().offer, accelerator: 'H100-SXM', count: 2, vramGiB: 80, vcpus: 52 };
  const sold = (offer = h100) => leaseWith({ offer });
  const two = [gpu(0, 'NVIDIA H100 80GB HBM3', 79.6), gpu(1, 'NVIDIA H100 80GB HBM3', 79.6)];

  it('takes what is as sold', () => {
    expect(probe(sold(), factsWith({ gpus: two }))).toBeNull();
  });

  it('takes more than was sold', () => {
    expect(probe(sold({ ...h100, count: 1 }), factsWith({ gpus: two }))).toBeNull();
  });

  it.each([
    ['too few', [two[0]], 'sold with 2 x H100-SXM, found NVIDIA H100 80GB HBM3'],
    ['none', [], 'sold with 2 x H100-SXM, found no GPU'],
    [
      'others',
      [gpu(0, 'NVIDIA A100-SXM4-80GB', 80), gpu(1, 'NVIDIA A100-SXM4-80GB', 80)],
      'found NVIDIA A100-SXM4-80GB',
    ],
    ['one of each', [two[0], gpu(1, 'Tesla T4', 15)], 'sold with 2 x H100-SXM'],
  ])('refuses %s', (_, gpus, why) => {
    expect(probe(sold(), factsWith({ gpus: gpus.filter((g) => g !== undefined) }))).toContain(why);
  });

  it('refuses a GPU with less memory, and forgives a tenth', () => {
    const t4 = { ...h100, accelerator: 'T4', count: 1, vramGiB: 16 };
    expect(probe(sold(t4), factsWith({ gpus: [gpu(0, 'Tesla T4', 14.6)] }))).toBeNull();
    expect(probe(sold(t4), factsWith({ gpus: [gpu(0, 'Tesla T4', 12)] }))).toBe(
      'sold with 16 GiB per GPU, found 12 GiB',
    );
  });

  it('counts the cores of a machine without GPU, and forgives a tenth', () => {
    const cpus = (sold: number | null, found: number) =>
      probe(leaseWith({ offer: { ...leaseWith().offer, vcpus: sold } }), factsWith({ vcpus: found }));
    expect([cpus(10, 9), cpus(10, 16), cpus(null, 1)]).toEqual([null, null, null]);
    expect(cpus(10, 8.9)).toContain('found 8.9');
  });
});

describe('the vendor’s view of a machine', () => {
  it.each([
    ['pending', 'starting'],
    ['provisioning', 'starting'],
    ['running', 'running'],
    ['stopping', 'gone'],
    ['terminated', 'gone'],
    ['failed', 'failed'],
    ['preempted', 'preempted'],
  ] as const)('%s means %s', (state, verdict) => {
    for (const of of leaseStates) expect(judgeMachine(leaseWith({ state: of }), machineWith({ state }))).toBe(verdict);
  });

  it('changes nothing when it is a word nobody knows', () => {
    const odd = machineWith({ state: 'unknown' });
    expect(judgeMachine(leaseWith({ state: 'provisioning' }), odd)).toBe('starting');
    for (const state of ['booting', 'ready', 'draining'] as const)
      expect(judgeMachine(leaseWith({ state }), odd)).toBe('running');
  });

  it('of no machine means gone', () => {
    expect(judgeMachine(leaseWith(), null)).toBe('gone');
  });

  it('counts as alive, and as billed, whatever is not over', () => {
    const dead = machineStates.filter((state) => !isAlive({ state }));
    expect(dead).toEqual(['terminated', 'failed', 'preempted']);
  });
});
