import { SPOT_HAZARD, type HazardBand } from '#market/survival';
import type { ReliabilityPriors } from './reliability.js';

/** GPU servers that nobody takes away: 381 faults in 400 servers x 240 days of a public fault record (MTBF 252 server-days). */
export const SERVER_FAULT_HAZARD: readonly HazardBand[] = [{ untilH: Infinity, perHour: 1.65e-4 }];

/** Relative hazard by age over those records; a rate times this gives bands where only a rate is known. */
export const RELATIVE_HAZARD_BY_AGE: readonly HazardBand[] = [
  { untilH: 0.3, perHour: 2.8 },
  { untilH: 1, perHour: 1.5 },
  { untilH: 3, perHour: 0.75 },
  { untilH: 10, perHour: 0.4 },
  { untilH: Infinity, perHour: 0.25 },
];

export function hazardByAge(ratePerHour: number): HazardBand[] {
  return RELATIVE_HAZARD_BY_AGE.map((b) => ({ untilH: b.untilH, perHour: b.perHour * ratePerHour }));
}

/** Loading weights takes 0.5-3 minutes: the geometric mean. */
export const LOAD_S = 90;
const DETECT_S = 60;

const spotSource = 'three public spot records, 2020-2025';

/**
 * Beliefs before anything was seen here. "Assumed" in a source means that no public record backs the figure.
 * Boots are the geometric means of the ranges seen: 3-10 minutes for a cloud GPU, 10-55 for bare metal.
 * Spot starts: success of 12-45 % in the records of 2020, places available 20-99 % of the time in those of 2023-2025;
 * 35 % failing lies in between, each costing about a minute.
 */
export const defaultPriors: ReliabilityPriors = {
  byKind: {
    hyperscaler: {
      steady: {
        startFailureP: 0.05,
        hazardPerHourByAge: SERVER_FAULT_HAZARD,
        bootS: 330 + LOAD_S,
        bootBilledS: 60 + LOAD_S,
        failedStartS: 60,
        failedStartBilledS: 0,
        detectS: DETECT_S,
        source: 'server faults of a public record; stock-outs assumed at 5 %',
      },
      spot: {
        startFailureP: 0.35,
        hazardPerHourByAge: SPOT_HAZARD,
        bootS: 330 + LOAD_S,
        bootBilledS: 60 + LOAD_S,
        failedStartS: 60,
        failedStartBilledS: 0,
        detectS: DETECT_S,
        source: spotSource,
      },
    },
    'bare-metal': {
      steady: {
        startFailureP: 0.05,
        hazardPerHourByAge: SERVER_FAULT_HAZARD,
        bootS: 1_400 + LOAD_S,
        bootBilledS: 60 + LOAD_S,
        failedStartS: 300,
        failedStartBilledS: 0,
        detectS: DETECT_S,
        source: 'server faults of a public record; failed deployments assumed at 5 %',
      },
      spot: {
        startFailureP: 0.35,
        hazardPerHourByAge: SPOT_HAZARD,
        bootS: 1_400 + LOAD_S,
        bootBilledS: 60 + LOAD_S,
        failedStartS: 300,
        failedStartBilledS: 0,
        detectS: DETECT_S,
        source: spotSource,
      },
    },
    decentralized: {
      steady: {
        startFailureP: 0.15,
        hazardPerHourByAge: hazardByAge(0.02),
        bootS: 240 + LOAD_S,
        bootBilledS: 120 + LOAD_S,
        failedStartS: 180,
        failedStartBilledS: 60,
        detectS: DETECT_S,
        source: 'assumed: a host stays for days and 15 % of starts fail; no public record',
      },
      spot: {
        startFailureP: 0.35,
        hazardPerHourByAge: SPOT_HAZARD,
        bootS: 240 + LOAD_S,
        bootBilledS: 120 + LOAD_S,
        failedStartS: 180,
        failedStartBilledS: 60,
        detectS: DETECT_S,
        source: spotSource,
      },
    },
    serverless: {
      steady: {
        startFailureP: 0.02,
        hazardPerHourByAge: hazardByAge(0.002),
        bootS: 20 + LOAD_S,
        bootBilledS: LOAD_S,
        failedStartS: 30,
        failedStartBilledS: 0,
        detectS: 15,
        source: 'assumed: workers start in seconds; no public record',
      },
      spot: {
        startFailureP: 0.35,
        hazardPerHourByAge: SPOT_HAZARD,
        bootS: 20 + LOAD_S,
        bootBilledS: LOAD_S,
        failedStartS: 30,
        failedStartBilledS: 0,
        detectS: 15,
        source: spotSource,
      },
    },
  },
  byProvider: {},
};
