/** How the accelerators of one machine talk to each other; the same words as in an offer. */
export type IntraNodeLink =
  | 'none'
  | 'pcie3'
  | 'pcie4'
  | 'pcie5'
  | 'nvlink'
  | 'nvswitch'
  | 'xgmi'
  | 'ici'
  | 'neuronlink'
  | 'roce-on-chip'
  | 'unknown';

export type AcceleratorMaker = 'nvidia' | 'amd' | 'google' | 'aws' | 'intel' | 'qualcomm' | 'cpu';

/** Board form; it decides the link and the power limit, so H100 SXM and H100 PCIe are two accelerators. */
export type AcceleratorForm = 'SXM' | 'PCIe' | 'NVL' | null;

/** What one accelerator is, by its maker's figures. `CPU` stands for one vCPU. */
export interface Accelerator {
  /** Canonical name: family, then memory where a family has two sizes, then form where it has two. */
  readonly name: string;
  readonly family: string;
  readonly form: AcceleratorForm;
  readonly vendor: AcceleratorMaker;
  /** Nominal memory as sold; drivers show up to 7 % less (A10G 22.4 of 24). */
  readonly vramGiB: number;
  readonly memoryGBps: number;
  /** Dense FP16/BF16 with FP32 accumulation, no sparsity; the FP32 rate where a chip has no faster FP16. */
  readonly fp16Tflops: number;
  /** Dense FP8; null = the chip has none. */
  readonly fp8Tflops: number | null;
  /** GB/s to its neighbours in the machine, both directions together, per accelerator. */
  readonly linkGBps: number;
  readonly link: IntraNodeLink;
  readonly watts: number;
  /** Order of architectures of all makers by age, 1 = Kepler (2012) .. 9 = Blackwell (2024). */
  readonly generation: number;
}

/** [name, family, form, vramGiB, memoryGBps, fp16Tflops, fp8Tflops, link, linkGBps, watts, generation] */
export type AcceleratorRow = readonly [
  string,
  string,
  AcceleratorForm,
  number,
  number,
  number,
  number | null,
  IntraNodeLink,
  number,
  number,
  number,
];

export function fromRow(vendor: AcceleratorMaker, row: AcceleratorRow): Accelerator {
  const [name, family, form, vramGiB, memoryGBps, fp16Tflops, fp8Tflops, link, linkGBps, watts, generation] = row;
  return { name, family, form, vendor, vramGiB, memoryGBps, fp16Tflops, fp8Tflops, link, linkGBps, watts, generation };
}
