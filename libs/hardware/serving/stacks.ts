import type { ServingCard } from './query.js';

/**
 * The software between a framework and the silicon. How much of its peak a card reaches is mostly a matter of this, so
 * corrections are learned per framework and stack. One maker may have two: Intel's GPUs and Gaudi share nothing.
 */
export type SoftwareStack = 'cuda' | 'rocm' | 'oneapi' | 'synapse' | 'xla' | 'neuron' | 'cpu' | 'ai100' | 'sambanova';

const byVendor: Readonly<Record<ServingCard['vendor'], SoftwareStack>> = {
  nvidia: 'cuda',
  amd: 'rocm',
  google: 'xla',
  aws: 'neuron',
  intel: 'oneapi',
  qualcomm: 'ai100',
  sambanova: 'sambanova',
  cpu: 'cpu',
};

export function softwareStack(a: Pick<ServingCard, 'vendor' | 'family'>): SoftwareStack {
  return a.family.startsWith('Gaudi') ? 'synapse' : byVendor[a.vendor];
}
