/** Losses per hour while the age of a lease is below `untilH` hours (and above the band before). */
export interface HazardBand {
  readonly untilH: number;
  readonly perHour: number;
}

/** Integral of the hazard over ages `fromH` to `toH`: the expected number of losses in that time. */
export function cumulativeHazard(bands: readonly HazardBand[], fromH: number, toH: number): number {
  let sum = 0;
  let from = Math.max(0, fromH);
  for (const band of bands) {
    if (from >= toH) break;
    const to = Math.min(toH, band.untilH);
    if (to <= from) continue;
    sum += band.perHour * (to - from);
    from = to;
  }
  return sum;
}

/** Probability that what is `ageH` old lasts `forH` more. */
export const survivalP = (bands: readonly HazardBand[], ageH: number, forH: number): number =>
  Math.exp(-cumulativeHazard(bands, ageH, ageH + forH));

/** The bands with every hazard multiplied. */
export const scaledBands = (bands: readonly HazardBand[], ratio: number): HazardBand[] =>
  bands.map((b) => ({ untilH: b.untilH, perHour: b.perHour * ratio }));

/** Index of the band that an age lies in. */
export function bandAt(bands: readonly HazardBand[], ageH: number): number {
  const i = bands.findIndex((b) => ageH < b.untilH);
  return i === -1 ? bands.length - 1 : i;
}

/** Expected hours that what is `ageH` old still lasts, counting at most `capH` of them. */
export function expectedLifetimeH(bands: readonly HazardBand[], ageH: number, capH: number): number {
  let alive = 1;
  let sum = 0;
  let from = ageH;
  const end = ageH + capH;
  for (const band of bands) {
    if (from >= end) break;
    const to = Math.min(end, band.untilH);
    if (to <= from) continue;
    const lasts = to - from;
    const h = band.perHour;
    sum += h * lasts < 1e-12 ? alive * lasts : (alive * -Math.expm1(-h * lasts)) / h;
    alive *= Math.exp(-h * lasts);
    from = to;
  }
  return sum;
}
