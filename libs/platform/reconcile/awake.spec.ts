import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '#kernel';
import { Awake } from './awake.js';

describe('Awake', () => {
  it('counts from the start while it beats in time, and for ever when it never beats', () => {
    const clock = new ManualClock(1_000);
    const [beating, silent] = [new Awake(clock, 300), new Awake(clock, 300)];
    for (let n = 0; n < 10; n++) {
      clock.advance(300);
      beating.beat();
    }
    expect([beating.forMs(), silent.forMs()]).toEqual([3_000, 3_000]);
  });

  it('counts from its return when it was away, whether it is asked before or after its first beat', () => {
    const clock = new ManualClock(1_000);
    const awake = new Awake(clock, 300);
    awake.beat();
    clock.advance(301);
    expect(awake.forMs()).toBe(0);
    awake.beat();
    clock.advance(200);
    expect(awake.forMs()).toBe(200);
  });
});
