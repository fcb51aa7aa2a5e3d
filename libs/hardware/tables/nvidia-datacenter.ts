import type { AcceleratorRow } from '../accelerator.js';

/**
 * NVIDIA data-centre parts. Figures: ai-dynamo/aiconfigurator and cli99/llm-analysis (both Apache-2.0) checked
 * against NVIDIA data sheets. Corrected against those sources: A10 has 24 GB; A10G has 70 TFLOPS (125 is the A10's).
 * PCIe cards carry their bus figure, since the NVLink bridge is optional and no price list says that it is there.
 * K80, M60, K520 and A16 rows are one GPU of a board that carries several: that is what clouds count.
 */
export const nvidiaDatacenter: readonly AcceleratorRow[] = [
  ['B300', 'B300', 'SXM', 288, 7750, 2250, 4500, 'nvswitch', 1800, 1100, 9],
  ['B200', 'B200', 'SXM', 192, 7700, 2250, 4500, 'nvswitch', 1800, 1000, 9],
  ['GB300', 'GB300', null, 288, 8000, 2500, 5000, 'nvswitch', 1800, 1400, 9],
  ['GB200', 'GB200', null, 186, 8000, 2500, 5000, 'nvswitch', 1800, 1200, 9],
  ['H200-NVL', 'H200', 'NVL', 141, 4800, 835, 1671, 'nvlink', 900, 600, 8],
  ['H200', 'H200', 'SXM', 141, 4800, 989, 1979, 'nvswitch', 900, 700, 8],
  ['GH200', 'GH200', null, 96, 4000, 989, 1979, 'nvlink', 900, 900, 8],
  ['H100-PCIe', 'H100', 'PCIe', 80, 2000, 756, 1513, 'pcie5', 128, 350, 8],
  ['H100-NVL', 'H100', 'NVL', 94, 3938, 835, 1671, 'nvlink', 600, 400, 8],
  ['H100-SXM', 'H100', 'SXM', 80, 3350, 989, 1979, 'nvswitch', 900, 700, 8],
  ['L40S', 'L40S', null, 48, 864, 362, 733, 'pcie4', 64, 350, 7],
  ['L40', 'L40', null, 48, 864, 181, 362, 'pcie4', 64, 300, 7],
  ['L4', 'L4', null, 24, 300, 121, 242, 'pcie4', 64, 72, 7],
  ['A100-40GB-PCIe', 'A100', 'PCIe', 40, 1555, 312, null, 'pcie4', 64, 250, 6],
  ['A100-80GB-PCIe', 'A100', 'PCIe', 80, 1935, 312, null, 'pcie4', 64, 300, 6],
  ['A100-40GB-SXM', 'A100', 'SXM', 40, 1555, 312, null, 'nvswitch', 600, 400, 6],
  ['A100-80GB-SXM', 'A100', 'SXM', 80, 2039, 312, null, 'nvswitch', 600, 400, 6],
  ['A40', 'A40', null, 48, 696, 150, null, 'pcie4', 64, 300, 6],
  ['A30', 'A30', null, 24, 933, 165, null, 'pcie4', 64, 165, 6],
  ['A16', 'A16', null, 16, 200, 18, null, 'pcie4', 64, 62, 6],
  ['A10', 'A10', null, 24, 600, 125, null, 'pcie4', 64, 150, 6],
  ['A10G', 'A10G', null, 24, 600, 70, null, 'pcie4', 64, 150, 6],
  ['A2', 'A2', null, 16, 200, 18, null, 'pcie4', 32, 60, 6],
  ['T4', 'T4', null, 16, 320, 65, null, 'pcie3', 32, 70, 5],
  ['T4G', 'T4G', null, 16, 320, 65, null, 'pcie3', 32, 70, 5],
  ['V100-16GB', 'V100', null, 16, 900, 125, null, 'nvlink', 300, 300, 4],
  ['V100-32GB', 'V100', null, 32, 900, 125, null, 'nvlink', 300, 300, 4],
  ['P100', 'P100', null, 16, 732, 19, null, 'pcie3', 32, 250, 3],
  ['P40', 'P40', null, 24, 346, 11.8, null, 'pcie3', 32, 250, 3],
  ['P4', 'P4', null, 8, 192, 5.5, null, 'pcie3', 32, 75, 3],
  ['M60', 'M60', null, 8, 160, 4.8, null, 'pcie3', 32, 150, 2],
  ['K80', 'K80', null, 12, 240, 4.1, null, 'pcie3', 32, 150, 1],
  ['K520', 'K520', null, 4, 160, 2.4, null, 'pcie3', 32, 112, 1],
];
