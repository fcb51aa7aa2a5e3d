import type { AcceleratorRow } from '../accelerator.js';

/** AMD. Figures: cli99/llm-analysis (Apache-2.0), huggingface.js (MIT) and AMD data sheets; xGMI counts all links of a GPU. */
export const amd: readonly AcceleratorRow[] = [
  ['MI355X', 'MI355X', null, 288, 8000, 2500, 5000, 'xgmi', 1075, 1400, 9],
  ['MI350X', 'MI350X', null, 288, 8000, 2300, 4600, 'xgmi', 1075, 1000, 9],
  ['MI325X', 'MI325X', null, 256, 6000, 1307, 2615, 'xgmi', 896, 1000, 8],
  ['MI300X', 'MI300X', null, 192, 5300, 1307, 2615, 'xgmi', 896, 750, 8],
  ['MI250X', 'MI250X', null, 128, 3277, 383, null, 'xgmi', 800, 560, 6],
  ['MI250', 'MI250', null, 128, 3277, 362, null, 'xgmi', 800, 560, 6],
  ['MI210', 'MI210', null, 64, 1638, 181, null, 'xgmi', 300, 300, 6],
  ['MI100', 'MI100', null, 32, 1229, 184.6, null, 'xgmi', 276, 300, 5],
  ['MI25', 'MI25', null, 16, 484, 24.6, null, 'pcie3', 32, 300, 3],
  ['Radeon-V710', 'Radeon-V710', null, 28, 448, 55, null, 'pcie4', 64, 158, 7],
  ['Radeon-V620', 'Radeon-V620', null, 32, 512, 40.6, null, 'pcie4', 64, 300, 6],
  ['Radeon-V520', 'Radeon-V520', null, 8, 512, 14.7, null, 'pcie4', 64, 225, 5],
];

/** Google TPU, per chip; ICI is the published inter-chip bandwidth of all links. */
export const google: readonly AcceleratorRow[] = [
  ['TPU-v6e', 'TPU-v6e', null, 32, 1640, 918, null, 'ici', 448, 300, 8],
  ['TPU-v5p', 'TPU-v5p', null, 95, 2765, 459, null, 'ici', 600, 450, 7],
  ['TPU-v5e', 'TPU-v5e', null, 16, 819, 197, null, 'ici', 200, 200, 7],
  ['TPU-v4', 'TPU-v4', null, 32, 1228, 275, null, 'ici', 300, 192, 6],
];

/** AWS Neuron, per chip as the EC2 pages count them. */
export const aws: readonly AcceleratorRow[] = [
  ['Trainium2', 'Trainium2', null, 96, 2900, 667, 1299, 'neuronlink', 1024, 500, 8],
  ['Trainium1', 'Trainium1', null, 32, 820, 190, 190, 'neuronlink', 768, 300, 6],
  ['Inferentia2', 'Inferentia2', null, 32, 820, 190, 190, 'neuronlink', 192, 200, 6],
  ['Inferentia1', 'Inferentia1', null, 8, 50, 64, null, 'neuronlink', 64, 75, 5],
];

/**
 * Intel. Gaudi: the links are on-chip Ethernet ports with RoCE; those towards the same machine are counted.
 * Max 1550 (code name Ponte Vecchio): both tiles together; its Xe Link is not on every board, so the bus figure counts.
 */
export const intel: readonly AcceleratorRow[] = [
  ['Gaudi3', 'Gaudi3', null, 128, 3700, 1835, 1835, 'roce-on-chip', 1050, 900, 8],
  ['Gaudi2', 'Gaudi2', null, 96, 2450, 432, 865, 'roce-on-chip', 525, 600, 7],
  ['Max-1550', 'Max-1550', null, 128, 3277, 839, null, 'pcie5', 128, 600, 7],
  ['Gaudi1', 'Gaudi1', null, 32, 1000, 116, null, 'roce-on-chip', 175, 350, 5],
];

export const qualcomm: readonly AcceleratorRow[] = [
  ['Qualcomm-AI100', 'Qualcomm-AI100', null, 16, 137, 175, null, 'pcie4', 32, 75, 6],
];

/** One vCPU of a current server: about 40 GFLOPS of useful vector rate and its share of eight memory channels. */
export const cpu: readonly AcceleratorRow[] = [['CPU', 'CPU', null, 0, 4, 0.04, null, 'none', 0, 5, 1]];
