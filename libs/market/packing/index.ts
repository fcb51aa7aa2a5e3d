export { gpuSize, WHOLE_GPU, type Ask, type Demand, type Kind, type NodeSpec, type Placed } from './ask.js';
export { blocksFree, gpusTogether, largestDomain, type Domains } from './domains.js';
export { Fleet } from './fleet.js';
export { PACKING, Packer, type PackingRule } from './packer.js';
