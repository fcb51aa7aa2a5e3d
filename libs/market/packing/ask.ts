/** What a piece of work takes of one node. GPUs in thousandths, so that sums are exact. */
export interface Ask {
  readonly cpuMilli: number;
  readonly memoryMiB: number;
  readonly gpus: number;
  /** Of each GPU, in thousandths; below 1000 only for a share of one GPU. */
  readonly gpuMilli: number;
  /** GPU models that it may run on; null: any. */
  readonly models: readonly string[] | null;
}

/** A machine, or one NVLink domain of a machine: what is asked for together lies in one of them. */
export interface NodeSpec {
  /** GPU model; null for a machine without GPUs. */
  readonly model: string | null;
  readonly gpus: number;
  readonly cpuMilli: number;
  readonly memoryMiB: number;
}

/** How often something was asked for. */
export interface Demand {
  readonly ask: Ask;
  readonly count: number;
}

/** Where an ask went: the node and its GPUs, by index; give it back as it is. */
export interface Placed {
  readonly node: number;
  readonly gpus: readonly number[];
  readonly kind: Kind;
}

/** An ask as a fleet sees it: models are bits. Equal asks are one kind. */
export interface Kind {
  readonly id: number;
  readonly cpuMilli: number;
  readonly memoryMiB: number;
  readonly gpus: number;
  readonly gpuMilli: number;
  /** Bit m: may run on model m of the fleet. */
  readonly mask: number;
}

export const WHOLE_GPU = 1_000;

/** GPUs that a kind takes in all, as a number of whole ones. */
export const gpuSize = (of: { readonly gpus: number; readonly gpuMilli: number }): number =>
  (of.gpus * of.gpuMilli) / WHOLE_GPU;
