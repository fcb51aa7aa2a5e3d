import type { IntraNodeLink, Workload } from '#contracts';
import { accelerator, acceleratorMatches, relativeSpeed, scalingEfficiency, usefulSeconds } from '#hardware';

export type Work = Workload['work'];

/** What placement must know about hardware; a parameter, so that a learned table can take its place. */
export interface Speeds {
  /** Whether `canonical` is one of what a tenant means by `wanted`. */
  matches(wanted: string, canonical: string): boolean;
  knows(canonical: string): boolean;
  /** Seconds for all of `work` on `count` accelerators (CPU machines: `vcpus`); null = cannot be done or not known. */
  usefulSeconds(work: Work, canonical: string, count: number, vcpus: number | null): number | null;
  relativeSpeed(canonical: string, reference: string): number | null;
  /** Share of the summed speed that `count` accelerators keep over that link. */
  scaling(link: IntraNodeLink, count: number): number;
  /** The link that `usefulSeconds` assumes for that accelerator. */
  usualLink(canonical: string): IntraNodeLink;
}

/** The tables of `#hardware`. */
export const hardwareSpeeds: Speeds = {
  matches: acceleratorMatches,
  knows: (canonical) => accelerator(canonical) !== undefined,
  usefulSeconds,
  relativeSpeed,
  scaling: (link, count) => scalingEfficiency({ link }, count),
  usualLink: (canonical) => accelerator(canonical)?.link ?? 'unknown',
};
