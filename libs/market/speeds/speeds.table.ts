import { table } from '#platform/database';
import type { SpeedEvidence } from './evidence.js';

/** What a finished shard tells of the machine that did it: written with the shard's own end, folded into evidence later. */
export interface ShardTimeRow {
  /** `<shard>/<fence>`: a shard's end is told once. */
  id: string;
  leaseId: string;
  /** A digest of the organization whose work it was. */
  heardFrom: string;
  /** Canonical name, and how many the machine has (vCPUs for `CPU`). */
  accelerator: string;
  units: number;
  parametersB: number;
  bytesPerParameter: number;
  /** Of prompts and answers together. */
  tokens: number;
  assignedAt: number;
  at: number;
  /** Folded already, and kept because it says until when this machine's time is counted. */
  folded: boolean;
}

export const shardTimes = table<ShardTimeRow>(
  'shard_times',
  {
    id: 'text',
    leaseId: 'text',
    heardFrom: 'text',
    accelerator: 'text',
    units: 'float',
    parametersB: 'float',
    bytesPerParameter: 'float',
    tokens: 'int',
    assignedAt: 'time',
    at: 'time',
    folded: 'bool',
  },
  { key: ['id'] },
);

export interface SpeedEvidenceRow {
  /** What was served on what: see `servedOn`. */
  what: string;
  evidence: SpeedEvidence;
  updatedAt: number;
}

export const servingSpeeds = table<SpeedEvidenceRow>(
  'serving_speeds',
  { what: 'text', evidence: 'json', updatedAt: 'time' },
  { key: ['what'] },
);
