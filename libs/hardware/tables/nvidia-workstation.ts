import type { AcceleratorRow } from '../accelerator.js';

/**
 * NVIDIA workstation and consumer cards. Memory, watts: huggingface/huggingface.js (MIT); bandwidth: AlexsJones/llmfit (MIT).
 * TFLOPS are tensor rates with FP32 accumulation from NVIDIA's architecture papers, not the shader rates of those lists.
 */
export const nvidiaWorkstation: readonly AcceleratorRow[] = [
  ['RTX-PRO-6000', 'RTX-PRO-6000', null, 96, 1792, 468, 936, 'pcie5', 128, 600, 9],
  ['RTX-PRO-4500', 'RTX-PRO-4500', null, 32, 896, 202, 404, 'pcie5', 128, 200, 9],
  ['RTX-5090', 'RTX-5090', null, 32, 1792, 209.5, 419, 'pcie5', 128, 575, 9],
  ['RTX-5080', 'RTX-5080', null, 16, 960, 112.6, 225, 'pcie5', 128, 360, 9],
  ['RTX-5070-Ti', 'RTX-5070-Ti', null, 16, 896, 87.9, 176, 'pcie5', 128, 300, 9],
  ['RTX-5070', 'RTX-5070', null, 12, 672, 61.7, 123, 'pcie5', 128, 250, 9],
  ['RTX-6000-Ada', 'RTX-6000-Ada', null, 48, 960, 364, 728, 'pcie4', 64, 300, 7],
  ['RTX-5000-Ada', 'RTX-5000-Ada', null, 32, 576, 261, 522, 'pcie4', 64, 250, 7],
  ['RTX-4000-Ada', 'RTX-4000-Ada', null, 20, 360, 107, 214, 'pcie4', 64, 130, 7],
  ['RTX-4090', 'RTX-4090', null, 24, 1008, 165, 330, 'pcie4', 64, 450, 7],
  ['RTX-4080', 'RTX-4080', null, 16, 717, 97.5, 195, 'pcie4', 64, 320, 7],
  ['RTX-4070-Ti', 'RTX-4070-Ti', null, 12, 504, 80, 160, 'pcie4', 64, 285, 7],
  ['RTX-4070', 'RTX-4070', null, 12, 504, 58, 117, 'pcie4', 64, 200, 7],
  ['RTX-4060-Ti', 'RTX-4060-Ti', null, 16, 288, 44, 88, 'pcie4', 32, 165, 7],
  ['RTX-A6000', 'RTX-A6000', null, 48, 768, 154.8, null, 'pcie4', 64, 300, 6],
  ['RTX-A5000', 'RTX-A5000', null, 24, 768, 111, null, 'pcie4', 64, 230, 6],
  ['RTX-A4500', 'RTX-A4500', null, 20, 640, 94.6, null, 'pcie4', 64, 200, 6],
  ['RTX-A4000', 'RTX-A4000', null, 16, 448, 76.7, null, 'pcie4', 64, 140, 6],
  ['RTX-3090-Ti', 'RTX-3090-Ti', null, 24, 1008, 80, null, 'pcie4', 64, 450, 6],
  ['RTX-3090', 'RTX-3090', null, 24, 936, 71, null, 'pcie4', 64, 350, 6],
  ['RTX-3080-Ti', 'RTX-3080-Ti', null, 12, 912, 68, null, 'pcie4', 64, 350, 6],
  ['RTX-3080', 'RTX-3080', null, 10, 760, 59.5, null, 'pcie4', 64, 350, 6],
  ['RTX-3070', 'RTX-3070', null, 8, 448, 40.6, null, 'pcie4', 64, 220, 6],
  ['RTX-3060', 'RTX-3060', null, 12, 360, 25.5, null, 'pcie4', 64, 170, 6],
  ['Quadro-RTX-6000', 'Quadro-RTX-6000', null, 24, 672, 130.5, null, 'pcie3', 32, 260, 5],
  ['Quadro-RTX-5000', 'Quadro-RTX-5000', null, 16, 448, 89.2, null, 'pcie3', 32, 230, 5],
  ['Quadro-RTX-4000', 'Quadro-RTX-4000', null, 8, 416, 57, null, 'pcie3', 32, 160, 5],
  ['RTX-2080-Ti', 'RTX-2080-Ti', null, 11, 616, 53.8, null, 'pcie3', 32, 250, 5],
  ['GTX-1080-Ti', 'GTX-1080-Ti', null, 11, 484, 11.3, null, 'pcie3', 32, 250, 3],
];
