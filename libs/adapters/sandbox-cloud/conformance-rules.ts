import type { ConformanceAbilities, VendorFault } from '#adapters/conformance';
import type { FaultPoint, FaultRule } from './fault.js';
import { defaultSkus, type CloudSettings, type Sku } from './sku.js';

/** One SKU without stock limits and losses, so that a conformance test meets only the faults it asks for. */
export const calmSkus: readonly Sku[] = defaultSkus.map((sku) => ({ ...sku, stock: null, preemptionsPerHour: 0 }));

export const conformanceSettings: Partial<CloudSettings> = { pageSize: 3 };

export const conformanceAbilities: ConformanceAbilities = {
  pageSize: 3,
  foreign: true,
  faults: [
    'no-capacity',
    'quota-exceeded',
    'rate-limited',
    'unauthorized',
    'payment-required',
    'invalid-request',
    'unavailable',
    'server-error',
    'failed-with-resource',
    'answer-lost-after-effect',
    'unknown-status',
    'list-repeats',
  ],
};

/** A vendor-neutral fault as rules of the sandbox. */
export function rulesFor(fault: VendorFault | null): FaultRule[] {
  const at = (kind: FaultRule['kind'], ...points: FaultPoint[]): FaultRule[] =>
    points.map((point) => ({ point, kind }));
  switch (fault) {
    case null:
      return [];
    case 'unauthorized':
    case 'server-error':
      return at(fault, 'account', 'create', 'get', 'list', 'terminate');
    case 'unknown-status':
      return at('unknown-status-word', 'get', 'list');
    case 'list-repeats':
      return at(fault, 'list');
    default:
      return at(fault, 'create');
  }
}
