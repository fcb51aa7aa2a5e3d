import { describe, expect, it } from '@jest/globals';
import { live } from './live.js';

/** Histories that once went wrong, at their smallest; `npm run test:sim` prints such a spec when a seed fails. */
describe('a history that once broke', () => {
  it('seed 154: one "not there" from before the machine was believed, and the machine ran on', async () => {
    const faults = [
      { point: 'vendor/create', occurrence: 1, kind: 'failed-with-resource' },
      { point: 'vendor/terminate', occurrence: 1, kind: 'terminate-lies' },
    ];
    expect((await live({ seed: 154, workers: 1, jobs: [2], faults })).broken).toBeNull();
  });

  it('seed 174: a list of long ago was compared with rows of now', async () => {
    const faults = [
      { point: 'worker0/list', occurrence: 1, kind: 'stall-before-send', arg: 4000 },
      { point: 'worker0/list', occurrence: 1, kind: 'stall-after-answer', arg: 88388 },
    ];
    expect((await live({ seed: 174, workers: 1, jobs: [2], faults })).broken).toBeNull();
  });
});
