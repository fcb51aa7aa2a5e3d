import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { accelerator, accelerators, type Accelerator } from './index.js';
import { publishedThroughputs } from './published-throughput.js';
import { throughput } from './throughput.js';
import { relativeSpeed, scalingEfficiency, usefulSeconds } from './useful-time.js';

function known(name: string): Accelerator {
  const a = accelerator(name);
  if (!a) throw new Error(`${name} is not in the table`);
  return a;
}
const shapes: Record<string, { layers: number; hiddenSize: number; kvBytesPerToken: number }> = {
  'Llama-2-7B': { layers: 32, hiddenSize: 4096, kvBytesPerToken: 524_288 },
  'Llama-3-8B': { layers: 32, hiddenSize: 4096, kvBytesPerToken: 131_072 },
  'Llama-3-70B': { layers: 80, hiddenSize: 8192, kvBytesPerToken: 327_680 },
};

describe('throughput', () => {
  const nvidiaRuns = publishedThroughputs.filter(
    (p) => known(p.accelerator).vendor === 'nvidia' && p.bytesPerParameter === 2,
  );
  it.each(nvidiaRuns.map((p) => [p.model, p.gpus, p.accelerator, p] as const))(
    'predicts the measured %s on %d x %s within a factor of 1.8 without having seen it',
    (_model, _gpus, _name, p) => {
      const model = { parametersB: p.parametersB, bytesPerParameter: p.bytesPerParameter, ...shapes[p.model] };
      const t = throughput({
        model,
        accelerator: known(p.accelerator),
        gpus: p.gpus,
        batch: 64,
        inputTokens: 1024,
        outputTokens: 1024,
        usePublished: false,
      });
      expect(t?.source).toBe('roofline');
      expect(Math.abs(Math.log((t?.tokensPerS ?? 0) / p.tokensPerS))).toBeLessThan(Math.log(1.8));
    },
  );

  it('puts a published measurement before the formula, with more confidence', () => {
    const q = {
      model: { parametersB: 8, bytesPerParameter: 2 },
      accelerator: known('H100-SXM'),
      gpus: 1,
      batch: 64,
      inputTokens: 1024,
      outputTokens: 1024,
    };
    const published = throughput(q);
    const formula = throughput({ ...q, usePublished: false });
    expect(published).toMatchObject({ source: 'published', tokensPerS: 6969 });
    expect(published?.confidence ?? 0).toBeGreaterThan(formula?.confidence ?? 1);
  });

  it('answers null when the weights do not fit', () => {
    const q = {
      model: { parametersB: 70, bytesPerParameter: 2 },
      accelerator: known('T4'),
      gpus: 4,
      batch: 1,
      inputTokens: 10,
      outputTokens: 10,
    };
    expect(throughput(q)).toBeNull();
  });

  it('is bound by bandwidth when decoding: more of it helps, and a bigger batch never lowers the total rate', () => {
    const rate = (name: string, batch: number): number =>
      throughput({
        model: { parametersB: 7, bytesPerParameter: 2 },
        accelerator: known(name),
        gpus: 1,
        batch,
        inputTokens: 512,
        outputTokens: 512,
        usePublished: false,
      })?.tokensPerS ?? 0;
    expect(rate('H200', 16)).toBeGreaterThan(rate('H100-SXM', 16));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 32 }), (batch) => {
        expect(rate('H100-SXM', batch + 1)).toBeGreaterThanOrEqual(rate('H100-SXM', batch) * 0.999);
      }),
    );
  });
});

describe('usefulSeconds', () => {
  it('takes the stated hours on the reference itself and scales with speed and count', () => {
    const work = { kind: 'gpu-hours', hours: 10, reference: 'A100-80GB-SXM' } as const;
    expect(usefulSeconds(work, 'A100-80GB-SXM', 1)).toBe(36_000);
    expect(usefulSeconds(work, 'A100-80GB-SXM', 8)).toBeCloseTo(
      36_000 / (8 * scalingEfficiency(known('A100-80GB-SXM'), 8)),
      6,
    );
    expect(usefulSeconds(work, 'H100-SXM', 1)).toBeLessThan(18_000);
    expect(usefulSeconds(work, 'T4', 1)).toBeGreaterThan(100_000);
    expect(usefulSeconds({ ...work, reference: 'h100' }, 'H100-PCIe', 1)).toBe(36_000);
  });

  it('keeps wall hours as they are and knows no unknown accelerator', () => {
    expect(usefulSeconds({ kind: 'wall-hours', hours: 2 }, 'CPU', 0, 4)).toBe(7_200);
    expect(usefulSeconds({ kind: 'gpu-hours', hours: 2, reference: 'Voodoo' }, 'T4', 1)).toBeNull();
    expect(relativeSpeed('T4', 'Voodoo')).toBeNull();
  });

  it('does token work only where the model fits, and a fraction of a GPU is slower by that fraction', () => {
    const work = { kind: 'tokens', inputTokens: 5e8, outputTokens: 5e8, parametersB: 8, bytesPerParameter: 2 } as const;
    const one = usefulSeconds(work, 'H100-SXM', 1) ?? 0;
    expect(one).toBeCloseTo(1e9 / 6969, 0);
    expect(usefulSeconds(work, 'H100-SXM', 8)).toBeLessThan(one / 4);
    expect(usefulSeconds(work, 'T4', 1)).toBeNull();
    expect(usefulSeconds(work, 'T4', 2)).toBeGreaterThan(one);
    const small = { ...work, parametersB: 0.5 };
    const whole = usefulSeconds(small, 'RTX-PRO-6000', 1) ?? 0;
    expect(usefulSeconds(small, 'RTX-PRO-6000', 0.25) ?? 0).toBeGreaterThan(whole * 2);
    expect(usefulSeconds(small, 'CPU', 0, 8) ?? 0).toBeGreaterThan(whole);
    expect(usefulSeconds({ ...small, outputTokens: 0 }, 'L4', 1) ?? 0).toBeLessThan(usefulSeconds(small, 'L4', 1) ?? 0);
  });

  it('is positive and falls with the count for every accelerator in the table', () => {
    const work = { kind: 'gpu-hours', hours: 1, reference: 'T4' } as const;
    for (const a of accelerators.filter((x) => x.vendor !== 'cpu')) {
      const times = [0.5, 1, 2, 4, 8].map((n) => usefulSeconds(work, a.name, n) ?? 0);
      for (let i = 1; i < times.length; i++) expect(times[i]).toBeLessThan(times[i - 1] ?? 0);
    }
  });
});
