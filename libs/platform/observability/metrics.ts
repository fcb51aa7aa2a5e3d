import { collectDefaultMetrics, Counter, Registry } from 'prom-client';
import { Repairs } from './repairs.js';

/** The metrics of one process. Rooms make their own with `new Counter({ ..., registers: [metrics.registry] })`. */
export interface Metrics {
  readonly registry: Registry;
  readonly repairs: Repairs;
}

/** A registry of its own, never prom-client's global one: specs and one-process runs hold several. */
export function createMetrics(options: { readonly process: string; readonly defaults?: boolean }): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ process: options.process });
  if (options.defaults ?? true) collectDefaultMetrics({ register: registry });
  const counter = new Counter({
    name: 'berth_repairs_total',
    help: 'Faults that a safety net had to mend. Anything but zero needs a cause.',
    labelNames: ['net'],
    registers: [registry],
  });
  return { registry, repairs: new Repairs((net, by) => counter.inc({ net }, by)) };
}
