import { table } from '#platform/database';
import type { RankingView } from './explain/view.js';

/** A decision as it was taken; never changed. */
export interface PlacementRow {
  id: string;
  organizationId: string;
  projectId: string;
  jobId: string | null;
  decision: RankingView;
  createdAt: number;
}

export const placements = table<PlacementRow>(
  'placements',
  { id: 'text', organizationId: 'text', projectId: 'text', jobId: 'text', decision: 'json', createdAt: 'time' },
  { key: ['id'] },
);
