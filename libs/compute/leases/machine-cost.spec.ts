import { describe, expect, it } from '@jest/globals';
import { HOUR, MINUTE, usd } from '#kernel';
import { leaseWith, NOW } from '#testing';
import { machineCost } from './index.js';

describe('what a machine has cost', () => {
  const machine = leaseWith({ costPerHour: usd('3.6'), bootedAt: NOW });

  it('grows from its boot on, and stands still once it has ended', () => {
    expect(machineCost({ ...machine, bootedAt: null }, NOW + HOUR)).toBe(0n);
    expect(machineCost({ ...machine, costThrough: NOW + MINUTE }, NOW + 10 * MINUTE)).toBe(usd('0.6'));
    expect(machineCost({ ...machine, endedAt: NOW + MINUTE }, NOW + HOUR)).toBe(usd('0.06'));
  });

  it('includes what the vendor billed beyond the end', () => {
    const ended = { ...machine, endedAt: NOW + MINUTE, costThrough: NOW + 5 * MINUTE };
    expect(machineCost(ended, NOW + HOUR)).toBe(usd('0.3'));
  });
});
