import { describe, expect, it } from '@jest/globals';
import { accelerators, isAccelerator, nearestAccelerators } from './index.js';

describe('names of accelerators that nobody knows', () => {
  it.each([
    ['H10O-SXM', ['H100-SXM']],
    ['H10O', ['H100-SXM', 'H100-PCIe', 'H100-NVL']],
    ['A1OO-80GB', ['A100-80GB-SXM']],
    ['RTX-490', ['RTX-4090']],
    ['rtx 5009', ['RTX-5090']],
    ['L04S', ['L40S']],
    ['MI300Y', ['MI300X']],
  ])('%s is most like %j', (wanted, expected) => {
    expect(isAccelerator(wanted)).toBe(false);
    expect(nearestAccelerators(wanted)).toEqual(expect.arrayContaining(expected));
  });

  it('puts the form that was said first', () => {
    expect(nearestAccelerators('H10O-SXM')[0]).toBe('H100-SXM');
    expect(nearestAccelerators('H10O-PCIe')[0]).toBe('H100-PCIe');
  });

  it('suggests nothing where nothing is near', () => {
    expect(nearestAccelerators('banana')).toEqual([]);
    expect(nearestAccelerators('')).toEqual([]);
  });

  it('never takes a name of the table for unknown, and finds it first when it is asked for', () => {
    for (const { name } of accelerators) expect([name, isAccelerator(name)]).toEqual([name, true]);
    expect(['H100', 'h100-sxm', 'A100-80GB', 'NVIDIA L4'].filter((name) => !isAccelerator(name))).toEqual([]);
  });
});
