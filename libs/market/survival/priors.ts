import type { HazardBand } from './bands.js';

/**
 * Spot machines by age: the mean of three public availability records of single machines (GCP K80/P100/V100 of 2020,
 * AWS V100 of 2023, GCP H100 of 2025). The hazard falls about 30-fold over the first ten hours, so one figure per hour
 * would be wrong both ways.
 */
export const SPOT_HAZARD: readonly HazardBand[] = [
  { untilH: 0.3, perHour: 1.78 },
  { untilH: 1, perHour: 0.73 },
  { untilH: 3, perHour: 0.3 },
  { untilH: 10, perHour: 0.12 },
  { untilH: Infinity, perHour: 0.057 },
];

/** How fast a place that has none is found to have some again, by the time it has been without: 3.1 an hour at first, then rarely. */
export const SPOT_REPAIR: readonly HazardBand[] = [
  { untilH: 0.3, perHour: 3 },
  { untilH: 1, perHour: 1.2 },
  { untilH: 3, perHour: 0.4 },
  { untilH: 10, perHour: 0.27 },
  { untilH: Infinity, perHour: 0.06 },
];

/** Share of looks at which a place had spot machines: 0 to 100 % by place, about 0.6 over all of the records. */
export const SPOT_UP_SHARE = 0.6;
