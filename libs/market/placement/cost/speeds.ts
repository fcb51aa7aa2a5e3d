import type { IntraNodeLink, Workload } from '#contracts';
import { accelerator, acceleratorMatches, relativeSpeed, usefulSeconds, type MeasuredMachines } from '#hardware';

export type Work = Workload['work'];

/** One accelerator as its fabric sees it. */
export interface Board {
  readonly tflops: number;
  readonly vramGiB: number;
  readonly link: IntraNodeLink;
  /** GB/s, both directions together. */
  readonly linkGBps: number;
  readonly form: 'SXM' | 'PCIe' | 'NVL' | null;
}

/** What placement must know about hardware; a parameter, so that a learned table can take its place. */
export interface Speeds {
  /** Whether `canonical` is one of what a tenant means by `wanted`. */
  matches(wanted: string, canonical: string): boolean;
  knows(canonical: string): boolean;
  /** Seconds for all of `work` on `count` accelerators (CPU machines: `vcpus`); null = cannot be done or not known. */
  usefulSeconds(work: Work, canonical: string, count: number, vcpus: number | null): number | null;
  relativeSpeed(canonical: string, reference: string): number | null;
  /** Dense FP16 TFLOPS, memory, and the link that `usefulSeconds` assumes; null = not known. */
  board(canonical: string): Board | null;
}

/** The tables of `#hardware`. */
export const hardwareSpeeds: Speeds = {
  matches: acceleratorMatches,
  knows: (canonical) => accelerator(canonical) !== undefined,
  usefulSeconds,
  relativeSpeed,
  board: (canonical) => {
    const a = accelerator(canonical);
    return a ? { tflops: a.fp16Tflops, vramGiB: a.vramGiB, link: a.link, linkGBps: a.linkGBps, form: a.form } : null;
  },
};

/** The same, with what Berth's own leases were seen to do before every table. */
export function learntHardwareSpeeds(measured: MeasuredMachines): Speeds {
  return {
    ...hardwareSpeeds,
    usefulSeconds: (work, canonical, count, vcpus) => usefulSeconds(work, canonical, count, vcpus, measured),
  };
}
