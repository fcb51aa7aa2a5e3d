import { gpuSize, type Kind } from './ask.js';
import type { Fleet } from './fleet.js';

/**
 * Share of all GPUs asked for that is bound to each model. What may run on several models, but not on all, is spread over them by
 * their capacity; what may run anywhere binds nothing.
 */
export function boundDemand(demand: ReadonlyMap<Kind, number>, fleet: Fleet): Float64Array {
  const bound = new Float64Array(fleet.models.length);
  const models = fleet.models.map((_, m) => m).slice(1);
  const anywhere = models.reduce((bits, m) => bits | (1 << m), 0);
  let total = 0;
  for (const [kind, count] of demand) {
    const gpus = count * gpuSize(kind);
    total += gpus;
    if (kind.gpus === 0 || kind.mask === anywhere) continue;
    const own = models.filter((m) => (kind.mask >> m) & 1);
    const capacity = own.reduce((sum, m) => sum + (fleet.capacity[m] ?? 0), 0);
    for (const m of own) bound[m] = (bound[m] ?? 0) + (gpus * (fleet.capacity[m] ?? 0)) / capacity;
  }
  return total === 0 ? bound : bound.map((gpus) => gpus / total);
}

/**
 * How scarce a model is now: demand that is bound to it, over its share of what is free. Above 1 those who can use nothing else
 * will be refused. As others fill up, what is left of a model gets cheaper: the free capacity ends up where bound demand is.
 */
export function pressureNow(bound: Float64Array, fleet: Fleet, into: Float64Array): Float64Array {
  let free = 0;
  for (let m = 1; m < bound.length; m++) free += fleet.free[m] ?? 0;
  for (let m = 1; m < bound.length; m++) into[m] = ((bound[m] ?? 0) * free) / Math.max(1, fleet.free[m] ?? 0);
  return into;
}
