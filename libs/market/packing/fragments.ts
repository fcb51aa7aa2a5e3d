import type { Kind } from './ask.js';

/** Kinds with weights that add up to 1. */
export type Weights = ReadonlyMap<Kind, number>;

/**
 * How much of a node's free GPUs the typical demand cannot use: fragmentation gradient descent (Weng et al., "Beware of
 * Fragmentation", USENIX ATC 2023). For one kind it is all that is idle where the kind cannot run at all, else what is left on
 * GPUs that are too full for it; the weighted mean over kinds, in GPUs.
 *
 * With `onlyAllowed` a node is judged by the kinds that may run on its model alone: which model to spend is then the price's
 * affair (pressure.ts) and not counted a second time here.
 */
export class Fragments {
  private readonly weight: Float64Array;
  private readonly cpu: Float64Array;
  private readonly memory: Float64Array;
  private readonly gpus: Uint8Array;
  private readonly mask: Uint32Array;
  /** Index of a kind's size in `sizes`. */
  private readonly size: Uint8Array;
  private readonly sizes: Int16Array;
  private readonly holding: Uint8Array;
  private readonly tooFull: Float64Array;
  private readonly allowed: Float64Array;

  constructor(
    weights: Weights,
    models: number,
    private readonly onlyAllowed: boolean,
  ) {
    const kinds = [...weights.keys()];
    const sizes = [...new Set(kinds.map((k) => k.gpuMilli))];
    this.weight = Float64Array.from(weights.values());
    this.cpu = Float64Array.from(kinds, (k) => k.cpuMilli);
    this.memory = Float64Array.from(kinds, (k) => k.memoryMiB);
    this.gpus = Uint8Array.from(kinds, (k) => k.gpus);
    this.mask = Uint32Array.from(kinds, (k) => k.mask);
    this.size = Uint8Array.from(kinds, (k) => sizes.indexOf(k.gpuMilli));
    this.sizes = Int16Array.from(sizes);
    this.holding = new Uint8Array(sizes.length);
    this.tooFull = new Float64Array(sizes.length);
    this.allowed = new Float64Array(models);
    for (const [kind, w] of weights)
      for (let m = 0; m < models; m++) if ((kind.mask >> m) & 1) this.allowed[m] = (this.allowed[m] ?? 0) + w;
  }

  /** Of a node of that model with so much left; `left` holds thousandths of its GPUs from `from` on. */
  of(model: number, cpuMilli: number, memoryMiB: number, left: Int16Array, from: number, gpus: number): number {
    let idle = 0;
    for (let g = from; g < from + gpus; g++) idle += left[g] ?? 0;
    if (idle === 0) return 0;
    this.sortBySize(left, from, gpus);
    let lost = 0;
    for (let k = 0; k < this.weight.length; k++) {
      const mayRun = (((this.mask[k] ?? 0) >> model) & 1) === 1;
      if (!mayRun && this.onlyAllowed) continue;
      const size = this.size[k] ?? 0;
      const runs =
        mayRun &&
        (this.cpu[k] ?? 0) <= cpuMilli &&
        (this.memory[k] ?? 0) <= memoryMiB &&
        (this.holding[size] ?? 0) >= (this.gpus[k] ?? 0);
      lost += (this.weight[k] ?? 0) * (runs ? (this.tooFull[size] ?? 0) : idle);
    }
    const of = this.onlyAllowed ? (this.allowed[model] ?? 0) || 1 : 1;
    return lost / of / 1_000;
  }

  /** For each size asked for: GPUs with enough left, and what is left on the others. */
  private sortBySize(left: Int16Array, from: number, gpus: number): void {
    for (let s = 0; s < this.sizes.length; s++) {
      const size = this.sizes[s] ?? 0;
      let holding = 0;
      let rest = 0;
      for (let g = from; g < from + gpus; g++) {
        const x = left[g] ?? 0;
        if (x >= size) holding++;
        else rest += x;
      }
      this.holding[s] = holding;
      this.tooFull[s] = rest;
    }
  }
}
