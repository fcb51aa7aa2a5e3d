import { describe, expect, it } from '@jest/globals';
import type { Offer } from '#contracts';
import { offerWith, contextWith, workloadWith } from '../placement.fixture.js';
import { rankList } from './rank.js';

const host = (id: string, stock: number, over: Partial<Offer> = {}): Offer =>
  offerWith({ id, stock, source: 'host', via: { kind: 'host', hostId: id }, ...over });
const order = (offers: readonly Offer[]): string[] =>
  rankList(offers, workloadWith(), contextWith()).ranked.map((r) => r.offer.id);

describe('registered hosts of equal cost', () => {
  it('come in the order of the room they have left, the fullest first', () => {
    expect(order([host('a', 8), host('b', 2), host('c', 5)])).toEqual(['b', 'c', 'a']);
    expect(order([host('b', 2), host('c', 2)])).toEqual(['b', 'c']);
  });

  it('are chosen so among more of them than are kept', () => {
    const hosts = Array.from({ length: 30 }, (_, i) => host(`host-${String(i).padStart(2, '0')}`, i === 23 ? 1 : 8));
    const { ranked } = rankList(hosts, workloadWith(), contextWith({ limit: 5 }));
    expect(ranked.map((r) => r.offer.id)).toEqual(['host-23', 'host-00', 'host-01', 'host-02', 'host-03']);
  });

  it('are never chosen for it when they cost more', () => {
    expect(order([host('a', 8), host('b', 2, { pricePerHour: offerWith().pricePerHour + 1_000_000n })])).toEqual([
      'a',
      'b',
    ]);
  });
});
