import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { accelerator, type Accelerator } from './index.js';
import {
  chooseTensorParallel,
  kvBytesPerToken,
  kvCacheBytes,
  latentKvCacheBytes,
  vramBudget,
  weightsBytes,
} from './sizing.js';
import { loadModelArchitectures } from './model-architectures.js';

function known(name: string): Accelerator {
  const a = accelerator(name);
  if (!a) throw new Error(`${name} is not in the table`);
  return a;
}

describe('sizing', () => {
  it.each([
    [7, 2, 14e9],
    [13, 2, 26e9],
    [70, 2, 140e9],
    [70, 1, 70e9],
    [70, 0.5, 35e9],
  ])('%dB parameters at %d bytes weigh %d bytes (row D2)', (parametersB, bytes, expected) => {
    expect(weightsBytes(parametersB, bytes)).toBe(expected);
  });

  it('gives Llama-2-7B at 4,096 tokens 2,147,483,648 bytes of cache (row D3)', () => {
    const shape = { layers: 32, kvHeads: 32, headDim: 128, tokens: 4096, bytesPerElement: 2 };
    expect(kvCacheBytes(shape)).toBe(2_147_483_648);
    expect(kvCacheBytes({ ...shape, batch: 3 })).toBe(3 * 2_147_483_648);
    expect(kvCacheBytes({ ...shape, kvHeads: 8 })).toBe(2_147_483_648 / 4);
  });

  it('counts latent attention by its compressed vector', () => {
    expect(latentKvCacheBytes({ layers: 61, kvLoraRank: 512, ropeHeadDim: 64, tokens: 1, bytesPerElement: 2 })).toBe(
      70_272,
    );
  });

  it('agrees with every derived row of the shipped architectures, and derives none that the file leaves blank', () => {
    const all = loadModelArchitectures();
    expect(all).toHaveLength(104);
    expect(all.filter((m) => m.derivedKvBytesPerToken !== null)).toHaveLength(98);
    for (const m of all) {
      expect([m.model, m.kv === null ? null : kvBytesPerToken(m.kv)]).toEqual([m.model, m.derivedKvBytesPerToken]);
    }
  });

  it('splits the memory of a replica without losing a byte, and never says it fits when it does not', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 8, max: 288 }),
        fc.constantFrom(1, 2, 4, 8),
        fc.double({ min: 0.1, max: 700, noNaN: true }),
        fc.integer({ min: 10_000, max: 2_000_000 }),
        fc.integer({ min: 1, max: 100_000 }),
        (vramGiB, gpus, parametersB, kv, tokensPerSequence) => {
          const b = vramBudget(vramGiB, gpus, {
            weightsBytes: weightsBytes(parametersB, 2),
            kvBytesPerToken: kv,
            tokensPerSequence,
          });
          const used = b.weightsBytes + b.overheadBytes + b.activationBytes;
          expect(b.fits).toBe(used + kv * tokensPerSequence <= b.totalBytes);
          if (b.kvBytes > 0) expect(Math.abs(used + b.kvBytes - b.totalBytes)).toBeLessThan(1);
          expect(b.maxSequences * tokensPerSequence * kv).toBeLessThanOrEqual(b.kvBytes);
        },
      ),
    );
  });
});

describe('chooseTensorParallel', () => {
  const demand = (parametersB: number) => ({
    weightsBytes: weightsBytes(parametersB, 2),
    kvBytesPerToken: 327_680,
    tokensPerSequence: 4_096,
  });

  it('serves on one GPU what fits one GPU', () => {
    const choice = chooseTensorParallel(known('H100-SXM'), 8, demand(8));
    expect(choice.tensorParallel).toBe(1);
    expect(choice.reasons[0]).toContain('fit one H100-SXM');
  });

  it('takes the smallest power of two inside the domain', () => {
    expect(chooseTensorParallel(known('H100-SXM'), 8, demand(70)).tensorParallel).toBe(2);
    expect(chooseTensorParallel(known('A100-40GB-SXM'), 8, demand(70)).tensorParallel).toBe(4);
    expect(chooseTensorParallel(known('H200'), 8, demand(70)).tensorParallel).toBe(1);
  });

  it('says that it does not fit, and warns when there is only PCIe', () => {
    expect(chooseTensorParallel(known('T4'), 4, demand(70))).toMatchObject({ tensorParallel: null, budget: null });
    const overBus = chooseTensorParallel(known('L4'), 4, demand(13));
    expect(overBus.tensorParallel).toBe(2);
    expect(overBus.reasons.join(' ')).toContain('no NVLink');
  });
});
