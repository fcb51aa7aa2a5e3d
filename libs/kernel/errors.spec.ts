import { describe, expect, it } from '@jest/globals';
import { DomainError, notFound, StaleVersion } from './errors.js';

describe('errors', () => {
  it('carry kind, code and what to do', () => {
    const error = new DomainError('conflict', 'already-there', 'It is there.', { fix: 'Take another.', field: 'name' });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'DomainError',
      kind: 'conflict',
      code: 'already-there',
      message: 'It is there.',
      details: { fix: 'Take another.', field: 'name' },
    });
  });

  it('say what is missing and what to do', () => {
    expect(notFound('job', 'job_1')).toMatchObject({
      kind: 'not-found',
      code: 'not-found',
      message: 'There is no job job_1 here.',
      details: { fix: expect.stringContaining('list') },
    });
  });

  it('tell a lost race from an expected failure', () => {
    const error = new StaleVersion('lease', 'lease_1');
    expect(error).not.toBeInstanceOf(DomainError);
    expect(error.message).toBe('lease lease_1 was changed by somebody else');
  });
});
