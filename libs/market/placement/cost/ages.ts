import type { HazardBand } from '#market/reliability';

/** Hazard so low that nothing is lost within any work. */
const NO_HAZARD = 1e-15;

interface Stretch {
  readonly fromS: number;
  readonly untilS: number;
  /** Losses per second. */
  readonly hazard: number;
  /** Expected losses up to its begin. */
  readonly before: number;
}

/** Survival over ages in seconds, for hazard that is constant in each band: sums and integrals in closed form. */
export class Ages {
  private readonly stretches: readonly Stretch[];

  /** `factor` multiplies every band: n^g for a gang. */
  constructor(bands: readonly HazardBand[], factor: number) {
    const stretches: Stretch[] = [];
    let fromS = 0;
    let before = 0;
    bands.forEach((band, b) => {
      const untilS = b === bands.length - 1 ? Infinity : band.untilH * 3_600;
      const hazard = (band.perHour * factor) / 3_600;
      if (untilS <= fromS) return;
      stretches.push({ fromS, untilS, hazard, before });
      if (untilS < Infinity) before += hazard * (untilS - fromS);
      fromS = untilS;
    });
    this.stretches = stretches;
  }

  /** Probability that a machine reaches that age. */
  survival(ageS: number): number {
    for (const s of this.stretches)
      if (ageS < s.untilS) return Math.exp(-s.before - s.hazard * Math.max(0, ageS - s.fromS));
    return 1;
  }

  /** Expected seconds between two ages. */
  integral(fromS: number, toS: number): number {
    let sum = 0;
    for (const s of this.stretches) {
      if (s.fromS >= toS) break;
      const from = Math.max(fromS, s.fromS);
      const lasts = Math.min(toS, s.untilS) - from;
      if (lasts <= 0) continue;
      const alive = Math.exp(-s.before - s.hazard * (from - s.fromS));
      sum += s.hazard * lasts < NO_HAZARD ? alive * lasts : (alive * -Math.expm1(-s.hazard * lasts)) / s.hazard;
    }
    return sum;
  }

  /** Sum of the survival at `count` ages from `firstS` on, `stepS` apart. */
  sum(firstS: number, stepS: number, count: number): number {
    let sum = 0;
    let next = 0;
    for (const s of this.stretches) {
      if (next >= count) break;
      const end = s.untilS === Infinity ? count : Math.min(count, Math.ceil((s.untilS - firstS) / stepS));
      const n = end - next;
      if (n <= 0) continue;
      const first = Math.exp(-s.before - s.hazard * Math.max(0, firstS + next * stepS - s.fromS));
      const u = s.hazard * stepS;
      sum += u * n < NO_HAZARD ? first * n : (first * Math.expm1(-u * n)) / Math.expm1(-u);
      next = end;
    }
    return sum;
  }
}
