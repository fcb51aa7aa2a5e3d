import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { machineStates, vendorErrorKinds, VendorError } from '#contracts';
import type { CreateOutcome, CreateRequest, Offer, VendorErrorKind, VendorMachine } from '#contracts';
import { createRequest, type ConformanceAbilities, type ConformanceHarness, type VendorFault } from './harness.js';

const tenMinutes = 600_000;
const install = 'ins_00000000000000000conform01';

/** What a refused create must say, by fault. */
const refusals: readonly (readonly [VendorFault, VendorErrorKind])[] = [
  ['no-capacity', 'no-capacity'],
  ['quota-exceeded', 'quota-exceeded'],
  ['rate-limited', 'rate-limited'],
  ['unauthorized', 'unauthorized'],
  ['payment-required', 'payment-required'],
  ['invalid-request', 'invalid-request'],
  ['unavailable', 'transient'],
];

/** Everything that the rest of the product takes for granted about a provider; every adapter runs it. */
export function describeProviderConformance(
  name: string,
  open: () => ConformanceHarness | Promise<ConformanceHarness>,
  abilities: ConformanceAbilities = {},
): void {
  describe(`${name} conforms to the provider port`, () => {
    let harness: ConformanceHarness;
    let offers: Offer[];
    let n = 0;
    const testIf = (able: boolean): typeof it.skip => (able ? it : it.skip);
    const canInject = (fault: VendorFault): boolean => abilities.faults?.includes(fault) ?? false;

    beforeEach(async () => {
      harness = await open();
      offers = await collect(harness.port.listOffers());
    });
    afterEach(async () => {
      await harness.close();
    });

    const request = (changes: Partial<CreateRequest> = {}): CreateRequest => {
      const offer = harness.pick?.(offers) ?? offers[0];
      if (!offer) throw new Error('the harness must offer something');
      n += 1;
      return { ...createRequest(offer, { install, n }, harness.now()), ...changes };
    };
    const create = async (changes: Partial<CreateRequest> = {}): Promise<VendorMachine> =>
      created(await harness.port.create(request(changes)));
    const ours = async (): Promise<VendorMachine[]> => collect(harness.port.list(install));
    const alive = async (): Promise<VendorMachine[]> => (await ours()).filter((m) => !ended(m));
    const inject = async (fault: VendorFault | null): Promise<void> => {
      if (!harness.inject) throw new Error('the harness says it can inject faults');
      await harness.inject(fault);
    };

    it('describes itself', () => {
      const { name: own, billing, consistencyWindowMs } = harness.port.describe();
      expect(own).not.toBe('');
      expect(consistencyWindowMs).toBeGreaterThanOrEqual(0);
      expect(billing.minimumS).toBeGreaterThanOrEqual(0);
      expect(billing.incrementS).toBeGreaterThan(0);
    });

    it('offers whole, rentable machines with a price, billing terms, and the time they were seen', () => {
      expect(offers.length).toBeGreaterThan(0);
      expect(new Set(offers.map((o) => o.id)).size).toBe(offers.length);
      for (const offer of offers) {
        expect(offer.status).toBe('rentable');
        expect(offer.pricePerHour).toBeGreaterThan(0n);
        expect(offer.observedAtMs).toBe(harness.now());
        expect(offer.billing.incrementS).toBeGreaterThan(0);
        expect(offer.count > 0).toBe(offer.accelerator !== 'CPU');
      }
    });

    it('accepts the credentials it was given', async () => {
      await expect(harness.port.probe()).resolves.toBeUndefined();
    });

    it('creates a machine that runs, is billed, and ends for good when terminated', async () => {
      const { vendorId } = await create();
      await harness.advance(tenMinutes);
      const running = await harness.port.get(vendorId);
      expect(running).toMatchObject({ vendorId, state: 'running', interruptAtMs: null });
      expect(running?.billedFromMs).not.toBeNull();
      expect(running?.billedFromMs).toBeLessThanOrEqual(harness.now());
      expect((await ours()).map((m) => m.vendorId)).toEqual([vendorId]);

      await harness.port.terminate(vendorId);
      await harness.advance(tenMinutes);
      const gone = await harness.port.get(vendorId);
      expect(gone === null || gone.state === 'terminated').toBe(true);
      expect(await alive()).toEqual([]);
    });

    it('gives the tags back as they were given', async () => {
      const asked = request();
      const { vendorId } = created(await harness.port.create(asked));
      const tags = { installId: install, leaseId: asked.leaseId, attemptId: asked.attemptId };
      await harness.advance(tenMinutes);
      expect(await harness.port.get(vendorId)).toMatchObject(tags);
      expect(await ours()).toEqual([expect.objectContaining({ vendorId, ...tags })]);
    });

    testIf(!abilities.oneInstall)('lists only machines of the install that is asked for', async () => {
      const mine = await create();
      const other = await create({ installId: 'ins_00000000000000000conform02' });
      await harness.advance(tenMinutes);
      expect((await ours()).map((m) => m.vendorId)).toEqual([mine.vendorId]);
      expect((await collect(harness.port.list('ins_00000000000000000conform02'))).map((m) => m.vendorId)).toEqual([
        other.vendorId,
      ]);
      expect(await collect(harness.port.list('ins_00000000000000000conform0'))).toEqual([]);
    });

    testIf(abilities.foreign ?? false)('never lists a machine that carries no tag of ours', async () => {
      const foreign = await harness.createForeign?.();
      await harness.advance(tenMinutes);
      expect(foreign).toBeDefined();
      expect(await ours()).toEqual([]);
    });

    it('answers null for an id the vendor does not know', async () => {
      expect(await harness.port.get('there-is-no-such-machine')).toBeNull();
      expect(await harness.port.get('../offers?x=1#y')).toBeNull();
    });

    it('terminates again and again: at once, after the end, and an unknown id', async () => {
      const { vendorId } = await create();
      await harness.port.terminate(vendorId);
      await harness.port.terminate(vendorId);
      await harness.advance(tenMinutes);
      await harness.port.terminate(vendorId);
      await harness.port.terminate('there-is-no-such-machine');
      expect(await alive()).toEqual([]);
    });

    it('sends nothing once the send budget is spent', async () => {
      const outcome = await harness.port.create(request({ sendBeforeMs: harness.now() }));
      expect(outcome).toMatchObject({ kind: 'failed', vendorId: null, error: { kind: 'transient' } });
      expect(outcome.kind === 'failed' && outcome.error.message).toContain('send budget spent');
      await harness.advance(tenMinutes);
      expect(await ours()).toEqual([]);
    });

    it('makes one machine of a repeated key where it says client tokens, else two', async () => {
      const asked = request();
      const first = created(await harness.port.create(asked));
      const second = created(await harness.port.create(asked));
      await harness.advance(tenMinutes);
      const { clientTokens } = harness.port.describe();
      expect(first.vendorId === second.vendorId).toBe(clientTokens);
      expect((await ours()).length).toBe(clientTokens ? 1 : 2);
    });

    testIf(abilities.pageSize !== undefined)('lists every machine once over more than one page', async () => {
      const ids: string[] = [];
      for (let i = 0; i < (abilities.pageSize ?? 0) * 2 + 1; i++) ids.push((await create()).vendorId);
      await harness.advance(tenMinutes);
      expect((await ours()).map((m) => m.vendorId).sort()).toEqual([...ids].sort());
      if (!canInject('list-repeats')) return;
      await inject('list-repeats');
      expect((await ours()).map((m) => m.vendorId).sort()).toEqual([...ids].sort());
    });

    for (const [fault, kind] of refusals) {
      testIf(canInject(fault))(`answers ${kind} when the vendor says ${fault}, and nothing was made`, async () => {
        await inject(fault);
        const outcome = await harness.port.create(request());
        expect(outcome).toMatchObject({ kind: 'failed', vendorId: null, error: { kind } });
        const error = outcome.kind === 'failed' ? outcome.error : undefined;
        expect(error).toBeInstanceOf(VendorError);
        expect(vendorErrorKinds).toContain(error?.kind);
        if (fault === 'rate-limited') expect(error?.retryAfterMs).toBeGreaterThan(0);
        await inject(null);
        await harness.advance(tenMinutes);
        expect(await ours()).toEqual([]);
      });
    }

    testIf(canInject('unauthorized'))('throws unauthorized, with its reach, when the key no longer holds', async () => {
      const { vendorId } = await create();
      await inject('unauthorized');
      const refusal = { name: 'VendorError', kind: 'unauthorized', scope: 'account' };
      await expect(harness.port.probe()).rejects.toMatchObject(refusal);
      await expect(harness.port.get(vendorId)).rejects.toMatchObject(refusal);
      // An empty list would read as "all machines are gone".
      await expect(ours()).rejects.toMatchObject(refusal);
      await expect(harness.port.terminate(vendorId)).rejects.toMatchObject(refusal);
    });

    testIf(canInject('server-error'))('calls a create that broke at the vendor unknown, not failed', async () => {
      await inject('server-error');
      expect(await harness.port.create(request())).toMatchObject({ kind: 'unknown' });
      await expect(ours()).rejects.toMatchObject({ name: 'VendorError', kind: 'transient' });
    });

    testIf(canInject('failed-with-resource'))('names the machine that a failed create left behind', async () => {
      await inject('failed-with-resource');
      const outcome = await harness.port.create(request());
      expect(outcome.kind).toBe('failed');
      const vendorId = outcome.kind === 'failed' ? outcome.vendorId : null;
      if (vendorId === null) throw new Error('the machine was not named');
      await inject(null);
      await harness.advance(tenMinutes);
      expect((await alive()).map((m) => m.vendorId)).toEqual([vendorId]);
      await harness.port.terminate(vendorId);
      await harness.advance(tenMinutes);
      expect(await alive()).toEqual([]);
    });

    testIf(canInject('answer-lost-after-effect'))(
      'calls a create without an answer unknown at its deadline, and finds the machine by its tags',
      async () => {
        // Where the machine stood still, a short deadline may be over before the vendor has heard of the request.
        for (let deadlineMs = 50; ; deadlineMs *= 2) {
          await inject('answer-lost-after-effect');
          const asked = request({ deadlineMs });
          expect(await harness.port.create(asked)).toMatchObject({ kind: 'unknown' });
          await inject(null);
          await harness.advance(tenMinutes);
          const found = await ours();
          if (found.length === 0) continue;
          expect(found).toEqual([expect.objectContaining({ attemptId: asked.attemptId })]);
          return;
        }
      },
    );

    testIf(canInject('unknown-status'))('tolerates a status word it has never heard of', async () => {
      const { vendorId } = await create();
      await harness.advance(tenMinutes);
      await inject('unknown-status');
      expect(await harness.port.get(vendorId)).toMatchObject({ vendorId, state: 'unknown', installId: install });
      expect((await ours()).map((m) => m.state)).toEqual(['unknown']);
      expect(machineStates).toContain('unknown');
    });
  });
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

function created(outcome: CreateOutcome): VendorMachine {
  if (outcome.kind === 'created') return outcome.machine;
  throw new Error(`not created: ${outcome.kind === 'failed' ? outcome.error.message : outcome.reason}`);
}

function ended({ state }: VendorMachine): boolean {
  return state === 'terminated' || state === 'failed' || state === 'preempted';
}
