import type { Objective } from '#contracts';

export interface ObjectiveWeights {
  /** What an hour until the finished work is worth, dollars. */
  readonly dollarsPerHour: number;
  /** Dollars charged per dollar of one standard deviation of the cost. */
  readonly riskAversion: number;
}

/**
 * What each objective means. `cheapest` still pays a little for certainty, so that between equal prices the surer wins.
 * Two dollars are about an hour of one data-centre GPU; a hundred make minutes dearer than most machines.
 */
export const objectiveWeights: Readonly<Record<Objective, ObjectiveWeights>> = {
  cheapest: { dollarsPerHour: 0, riskAversion: 0.05 },
  balanced: { dollarsPerHour: 2, riskAversion: 0.5 },
  reliable: { dollarsPerHour: 2, riskAversion: 3 },
  fastest: { dollarsPerHour: 100, riskAversion: 0.5 },
};
