import type { IntraNodeLink } from '#contracts';
import type { Machine } from '../columns/catalog-index.js';
import type { Speeds } from '../cost/speeds.js';

/**
 * How much of their summed speed accelerators keep when each step of the work ends with an all-reduce.
 *
 * A ring all-reduce moves 2 (n - 1)/n of the data over each link (Patarasuk and Yuan, JPDC 69, 2009), and compute per step
 * grows with the speed of the chip, so with F its TFLOPS and B its link in GB/s, both directions together,
 *
 *     time lost per time of computing = SHARE x 2 (n - 1)/n x F / B
 *
 * once inside each machine and once between machines, where what a machine exchanges is reduced inside it first. SHARE is a
 * working assumption: 8 H100 over NVSwitch keep 91 %, 8 A100 over PCIe 4 keep 70 %.
 */
const SHARE = 0.05;

/** GB/s per accelerator, both directions together, of sixteen lanes, and of the first NVLink bridges. */
const LINK_GBPS: Readonly<Partial<Record<IntraNodeLink, number>>> = { pcie3: 32, pcie4: 64, pcie5: 128, nvlink: 100 };
/** Below one lane of the first PCIe: what is stated to be slower is no figure to reckon with, only a very slow link. */
const SLOWEST_GBPS = 0.1;
/** The worst that is sold for work that needs a fabric at all. */
const WORST_LINK: IntraNodeLink = 'pcie3';
/** Gbit/s per machine where the fabric is named but not its speed: the oldest of its kind. */
const WORST_FABRIC_GBPS = { unknown: 10, ethernet: 10, roce: 100, infiniband: 100, efa: 100 } as const;
const ON_BOARD: ReadonlySet<IntraNodeLink> = new Set(['nvlink', 'nvswitch', 'xgmi', 'ici', 'neuronlink']);

export interface FabricShare {
  /** Share of the summed speed that is kept, over (0, 1]. */
  readonly efficiency: number;
  /** What was not known and so counted as the worst of its kind, in words; empty = all is known. */
  readonly assumed: readonly string[];
}

/** GB/s per accelerator over that link, and the link that was taken. */
function linkOf(speeds: Speeds, machine: Machine): { gbps: number; assumed: string | null } {
  const { intraNode, intraNodeGBps } = machine.interconnect;
  const board = speeds.board(machine.accelerator);
  const lanes = intraNode.startsWith('pcie') ? (LINK_GBPS[intraNode] ?? Infinity) : Infinity;
  if (intraNode !== 'unknown' && intraNodeGBps !== null && intraNodeGBps > 0)
    return { gbps: Math.max(SLOWEST_GBPS, Math.min(intraNodeGBps, lanes)), assumed: null };
  if (intraNode === 'unknown' || intraNode === 'none') {
    // An SXM board has no other way out than its own links; how many of them are wired up is not known.
    if (board?.form === 'SXM') return { gbps: board.linkGBps / 2, assumed: 'half of its board links' };
    return { gbps: LINK_GBPS[WORST_LINK] ?? 1, assumed: 'PCIe 3' };
  }
  if (board && ON_BOARD.has(intraNode) && ON_BOARD.has(board.link)) return { gbps: board.linkGBps, assumed: null };
  return { gbps: LINK_GBPS[intraNode] ?? board?.linkGBps ?? 32, assumed: null };
}

/** The share kept by `units` accelerators of each of `nodes` such machines. */
export function fabricShare(speeds: Speeds, machine: Machine, units: number, nodes: number): FabricShare {
  const tflops = speeds.board(machine.accelerator)?.tflops ?? 0;
  const assumed: string[] = [];
  let lost = 0;
  if (units > 1) {
    const link = linkOf(speeds, machine);
    if (link.assumed !== null) assumed.push(`link between its accelerators (counted as ${link.assumed})`);
    lost += allReduce(units, tflops / link.gbps);
  }
  if (nodes > 1) {
    const { interNode, interNodeGbps } = machine.interconnect;
    const gbitPerS = interNodeGbps ?? WORST_FABRIC_GBPS[interNode];
    if (interNodeGbps === null) assumed.push(`speed of its fabric (counted as ${gbitPerS} Gbit/s)`);
    // Gbit/s each way to GB/s both ways.
    lost += allReduce(nodes, tflops / Math.max(gbitPerS / 4, 1e-3));
  }
  return { efficiency: 1 / (1 + lost), assumed };
}

const allReduce = (n: number, speedPerLink: number): number => ((SHARE * 2 * (n - 1)) / n) * speedPerLink;

/** The share over the link that such accelerators usually have: what speeds of whole machines already count. */
export function usualShare(speeds: Speeds, accelerator: string, units: number): number {
  const board = speeds.board(accelerator);
  return units > 1 && board ? 1 / (1 + allReduce(units, board.tflops / Math.max(1, board.linkGBps))) : 1;
}
