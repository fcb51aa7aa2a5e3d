import { table } from '#platform/database';

/** What happened to a row, in the order of its versions: written in the same transaction as the change it tells of. */
export interface EventRow {
  subjectId: string;
  /** The subject's version after the change; so events of one subject have a total order without gaps in meaning. */
  n: number;
  organizationId: string;
  projectId: string;
  type: string;
  fromState: string | null;
  toState: string | null;
  message: string;
  at: number;
}

export const events = table<EventRow>(
  'events',
  {
    subjectId: 'text',
    n: 'int',
    organizationId: 'text',
    projectId: 'text',
    type: 'text',
    fromState: 'text',
    toState: 'text',
    message: 'text',
    at: 'time',
  },
  { key: ['subjectId', 'n'] },
);
