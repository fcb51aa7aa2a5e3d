import { gpuSize, WHOLE_GPU, type Ask, type Kind, type NodeSpec } from './ask.js';

/** Models are bits of a 32-bit mask; model 0 is "no GPU". */
const MOST_MODELS = 30;

/**
 * What is free on each node, in columns. Invariant: nothing is ever below zero or above what the node has; `take` and `giveBack`
 * are each other's inverse. A node's version rises with every change of it.
 */
export class Fleet {
  readonly size: number;
  readonly models: readonly string[];
  /** GPUs between one node's row of `left` and the next. */
  readonly stride: number;
  readonly cpuMilli: Float64Array;
  readonly memoryMiB: Float64Array;
  readonly gpus: Uint8Array;
  readonly model: Uint8Array;
  /** Thousandths left of each GPU, `stride` to a node. */
  readonly left: Int16Array;
  /** GPUs of a node that nobody has a part of. */
  readonly wholeFree: Uint8Array;
  /** Pieces of work on a node that have GPUs of it. */
  readonly residents: Uint16Array;
  readonly version: Uint32Array;
  /** GPUs of each model in all, and left. */
  readonly capacity: Float64Array;
  readonly free: Float64Array;
  private readonly kinds = new Map<string, Kind>();
  private readonly seen = new WeakMap<Ask, Kind>();

  constructor(nodes: readonly NodeSpec[]) {
    this.size = nodes.length;
    this.models = ['', ...new Set(nodes.flatMap((n) => (n.model === null || n.gpus === 0 ? [] : [n.model])))];
    if (this.models.length > MOST_MODELS) throw new RangeError(`a fleet of more than ${MOST_MODELS - 1} GPU models`);
    this.stride = Math.max(1, ...nodes.map((n) => n.gpus));
    this.cpuMilli = Float64Array.from(nodes, (n) => n.cpuMilli);
    this.memoryMiB = Float64Array.from(nodes, (n) => n.memoryMiB);
    this.gpus = Uint8Array.from(nodes, (n) => n.gpus);
    this.model = Uint8Array.from(nodes, (n) => (n.gpus === 0 ? 0 : this.models.indexOf(n.model ?? '')));
    this.left = new Int16Array(this.size * this.stride);
    this.wholeFree = Uint8Array.from(nodes, (n) => n.gpus);
    this.residents = new Uint16Array(this.size);
    this.version = new Uint32Array(this.size).fill(1);
    this.capacity = new Float64Array(this.models.length);
    for (const [i, { gpus }] of nodes.entries()) {
      this.left.fill(WHOLE_GPU, i * this.stride, i * this.stride + gpus);
      const model = this.model[i] ?? 0;
      this.capacity[model] = (this.capacity[model] ?? 0) + gpus;
    }
    this.free = Float64Array.from(this.capacity);
  }

  /** GPUs in all. */
  get totalGpus(): number {
    return this.capacity.reduce((sum, n) => sum + n, 0);
  }

  /** Equal asks have one kind; models that the fleet does not have are no bits. */
  kindOf(ask: Ask): Kind {
    const known = this.seen.get(ask);
    if (known) return known;
    const mask =
      ask.gpus === 0
        ? 0
        : this.models.reduce(
            (bits, name, m) => (m > 0 && (ask.models?.includes(name) ?? true) ? bits | (1 << m) : bits),
            0,
          );
    const { cpuMilli, memoryMiB, gpus, gpuMilli } = ask;
    const key = [cpuMilli, memoryMiB, gpus, gpuMilli, mask].join();
    const kind = this.kinds.get(key) ?? { id: this.kinds.size, cpuMilli, memoryMiB, gpus, gpuMilli, mask };
    this.kinds.set(key, kind);
    this.seen.set(ask, kind);
    return kind;
  }

  holds(node: number, kind: Kind): boolean {
    if ((this.cpuMilli[node] ?? 0) < kind.cpuMilli || (this.memoryMiB[node] ?? 0) < kind.memoryMiB) return false;
    if (kind.gpus === 0) return true;
    if (((kind.mask >> (this.model[node] ?? 0)) & 1) === 0) return false;
    if (kind.gpuMilli === WHOLE_GPU) return (this.wholeFree[node] ?? 0) >= kind.gpus;
    return this.fullestThatHolds(node, kind.gpuMilli) >= 0;
  }

  /** The GPU with the least left among those with enough; -1: none. */
  fullestThatHolds(node: number, gpuMilli: number): number {
    let best = -1;
    for (let gpu = 0; gpu < (this.gpus[node] ?? 0); gpu++) {
      const left = this.leftOf(node, gpu);
      if (left >= gpuMilli && (best < 0 || left < this.leftOf(node, best))) best = gpu;
    }
    return best;
  }

  leftOf(node: number, gpu: number): number {
    return this.left[node * this.stride + gpu] ?? 0;
  }

  /** Takes it; `gpu` names the GPU of a share. The node must hold it. */
  take(node: number, kind: Kind, gpu: number): number[] {
    const gpus: number[] = [];
    if (kind.gpus > 0 && kind.gpuMilli < WHOLE_GPU) gpus.push(gpu);
    else
      for (let i = 0; i < (this.gpus[node] ?? 0) && gpus.length < kind.gpus; i++)
        if (this.leftOf(node, i) === WHOLE_GPU) gpus.push(i);
    this.change(node, kind, gpus, -1);
    return gpus;
  }

  giveBack(node: number, kind: Kind, gpus: readonly number[]): void {
    this.change(node, kind, gpus, 1);
  }

  private change(node: number, kind: Kind, gpus: readonly number[], sign: 1 | -1): void {
    for (const gpu of gpus) {
      const i = node * this.stride + gpu;
      const before = this.left[i] ?? 0;
      const after = before + sign * kind.gpuMilli;
      if (after < 0 || after > WHOLE_GPU || gpu >= (this.gpus[node] ?? 0))
        throw new RangeError(`GPU ${gpu} of node ${node} cannot have ${after} thousandths left`);
      this.left[i] = after;
      const whole = Number(after === WHOLE_GPU) - Number(before === WHOLE_GPU);
      this.wholeFree[node] = (this.wholeFree[node] ?? 0) + whole;
    }
    if (kind.gpus > 0) this.residents[node] = (this.residents[node] ?? 0) - sign;
    this.cpuMilli[node] = (this.cpuMilli[node] ?? 0) + sign * kind.cpuMilli;
    this.memoryMiB[node] = (this.memoryMiB[node] ?? 0) + sign * kind.memoryMiB;
    const model = this.model[node] ?? 0;
    this.free[model] = (this.free[model] ?? 0) + sign * gpuSize(kind);
    this.version[node] = (this.version[node] ?? 0) + 1;
  }
}
