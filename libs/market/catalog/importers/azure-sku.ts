import type { Interconnect } from '#contracts';

/** What the name of an Azure N-series size says. */
export interface AzureSize {
  readonly accelerator: string;
  /** Below 1 for a slice. */
  readonly count: number;
  readonly vcpus: number;
  readonly fabric: Pick<Interconnect, 'interNode' | 'interNodeGbps'>;
  /** The V100 of the NC series sits in PCIe slots, that of the ND series on NVLink. */
  readonly pcieOnly: boolean;
}

/** GPUs by vCPUs: the number in the name counts vCPUs, and each series fixes how many GPUs go with them (Azure documentation). */
interface Series {
  readonly pattern: RegExp;
  readonly accelerator: string;
  readonly gpus: Readonly<Record<number, number>>;
  readonly infiniBandGbps?: number;
  readonly pcieOnly?: boolean;
}

const eighth = 1 / 8;
const third = 1 / 3;
const sixth = 1 / 6;

const series: readonly Series[] = [
  { pattern: /^NC(\d+)r?_Promo$/, accelerator: 'K80', gpus: { 6: 1, 12: 2, 24: 4 } },
  { pattern: /^NC(\d+)r?s_v3$/, accelerator: 'V100-16GB', gpus: { 6: 1, 12: 2, 24: 4 }, pcieOnly: true },
  { pattern: /^NC(\d+)as_T4_v3$/, accelerator: 'T4', gpus: { 4: 1, 8: 1, 16: 1, 64: 4 } },
  { pattern: /^NC(\d+)ads_A100_v4$/, accelerator: 'A100-80GB-PCIe', gpus: { 24: 1, 48: 2, 96: 4 } },
  // Sizes of a preview whose split of the card is nowhere stated.
  { pattern: /^NC(\d+)ads_A10_v4$/, accelerator: 'A10', gpus: {} },
  { pattern: /^NCC?(\d+)adi?s_H100_v5$/, accelerator: 'H100-NVL', gpus: { 40: 1, 80: 2 } },
  {
    pattern: /^NC(\d+)l?ds_xl_RTXPRO6000BSE_v6$/,
    accelerator: 'RTX-PRO-6000',
    gpus: {
      32: 1 / 4,
      36: 1 / 4,
      64: 1 / 2,
      72: 1 / 2,
      128: 1,
      132: 1,
      144: 1,
      256: 2,
      264: 2,
      288: 2,
      320: 2,
      324: 2,
    },
  },
  { pattern: /^ND(\d+)r?s_v2$/, accelerator: 'V100-32GB', gpus: { 40: 8 }, infiniBandGbps: 100 },
  { pattern: /^ND(\d+)asr(?:_A100)?_v4$/, accelerator: 'A100-40GB-SXM', gpus: { 96: 8 }, infiniBandGbps: 1_600 },
  { pattern: /^ND(\d+)amsr?_A100_v4$/, accelerator: 'A100-80GB-SXM', gpus: { 96: 8 }, infiniBandGbps: 1_600 },
  {
    pattern: /^ND(\d+)isr?f?(?:_flex|_noIB)?_H100_v5$/,
    accelerator: 'H100-SXM',
    gpus: { 96: 8 },
    infiniBandGbps: 3_200,
  },
  { pattern: /^ND(\d+)isr?f?_H200_v5$/, accelerator: 'H200', gpus: { 96: 8 }, infiniBandGbps: 3_200 },
  { pattern: /^ND(\d+)isr?f?_MI300X_v5$/, accelerator: 'MI300X', gpus: { 96: 8 }, infiniBandGbps: 3_200 },
  { pattern: /^ND(\d+)isrf?_NDR_GB200_v6$/, accelerator: 'GB200', gpus: { 128: 4 }, infiniBandGbps: 1_600 },
  { pattern: /^ND(\d+)isrf?_NDR_GB300_v6$/, accelerator: 'GB300', gpus: { 128: 4 }, infiniBandGbps: 3_200 },
  { pattern: /^NG(\d+)adm?s_V620(?:_v1)?$/, accelerator: 'Radeon-V620', gpus: { 8: 1 / 4, 16: 1 / 2, 32: 1 } },
  { pattern: /^NV(\d+)_Promo$/, accelerator: 'M60', gpus: { 6: 1, 12: 2, 24: 4 } },
  { pattern: /^NV(\d+)s_v2$/, accelerator: 'M60', gpus: { 6: 1, 12: 2, 24: 4 } },
  { pattern: /^NV(\d+)s_v3$/, accelerator: 'M60', gpus: { 12: 1, 24: 2, 48: 4 } },
  { pattern: /^NV(\d+)as_v4$/, accelerator: 'MI25', gpus: { 4: eighth, 8: 1 / 4, 16: 1 / 2, 32: 1 } },
  { pattern: /^NV(\d+)adm?s_A10_v5$/, accelerator: 'A10', gpus: { 6: sixth, 12: third, 18: 1 / 2, 36: 1, 72: 2 } },
  {
    pattern: /^NV(\d+)adm?s_V710_v5$/,
    accelerator: 'Radeon-V710',
    gpus: { 4: sixth, 8: third, 12: 1 / 2, 24: 1, 28: 1 },
  },
];

/** `r` among the letters after the vCPU number means an RDMA network; "noIB" takes it away again. */
function hasRdma(size: string): boolean {
  return /^N[A-Z]+\d+[a-z]*r[a-z]*(_|$)/.test(size) && !size.includes('noIB');
}

/** The hardware of an Azure size, or the reason why its name does not tell. */
export function decodeAzureSize(sku: string): AzureSize | string {
  const size = sku.replace(/^Standard_/, '');
  if (/^NP\d/.test(size)) return 'the NP series has FPGAs, not GPUs';
  if (!/^N/.test(size)) return 'not a GPU size';
  for (const s of series) {
    const match = s.pattern.exec(size);
    if (!match) continue;
    const vcpus = Number(match[1]);
    const count = s.gpus[vcpus];
    if (count === undefined) return `the name does not tell how much of a ${s.accelerator} goes with ${vcpus} vCPUs`;
    const rdma = hasRdma(size);
    return {
      accelerator: s.accelerator,
      count,
      vcpus,
      // Older series have InfiniBand too, of a speed that differs by region: unknown here.
      fabric: rdma
        ? { interNode: 'infiniband', interNodeGbps: s.infiniBandGbps ?? null }
        : { interNode: 'ethernet', interNodeGbps: null },
      pcieOnly: s.pcieOnly ?? false,
    };
  }
  return 'the name fits no known GPU series';
}
