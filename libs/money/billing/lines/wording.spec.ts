import { describe, expect, it } from '@jest/globals';
import { newId } from '#kernel';
import { describeLine, projectOfLine } from './wording.js';

describe('what a line says', () => {
  it.each([
    ['H100 x 8', 'H100', 'H100 x 8'],
    ['CPU x 4', null, 'CPU x 4'],
    ['batch-inference', 'llama-3.1-8b-instruct', 'llama-3.1-8b-instruct, batch inference'],
    ['committed use per hour', null, 'committed use per hour'],
  ])('of %s by %s is "%s"', (resource, model, says) => expect(describeLine({ resource, model })).toBe(says));

  it('is of a project by its name, or of the whole organization', () => {
    const [organizationId, projectId, gone] = [newId('organization'), newId('project'), newId('project')];
    const names = new Map([[projectId, 'research']]);
    expect([organizationId, projectId, gone].map((id) => projectOfLine(id, names))).toEqual([
      'all projects',
      'research',
      gone,
    ]);
  });
});
