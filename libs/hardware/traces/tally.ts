/** How often each whole number was seen, and what follows from it: exact quantiles without keeping the numbers in order. */
export class Tally {
  private readonly counts = new Map<number, number>();
  private total = 0;
  private sum = 0;

  add(value: number, times = 1): void {
    this.counts.set(value, (this.counts.get(value) ?? 0) + times);
    this.total += times;
    this.sum += value * times;
  }

  get mean(): number {
    return this.total > 0 ? this.sum / this.total : 0;
  }

  /** The least value that a share `q` of all do not exceed. */
  quantiles(...shares: readonly number[]): number[] {
    const values = Float64Array.from(this.counts.keys()).sort();
    const found = shares.map(() => values.at(-1) ?? 0);
    const ascending = shares.map((share, i) => ({ share, i })).sort((a, b) => a.share - b.share);
    let below = 0;
    let next = 0;
    for (const value of values) {
      below += this.counts.get(value) ?? 0;
      for (
        let wanted = ascending[next];
        wanted && below >= wanted.share * this.total - 1e-9;
        wanted = ascending[++next]
      )
        found[wanted.i] = value;
      if (next === ascending.length) break;
    }
    return found;
  }
}
