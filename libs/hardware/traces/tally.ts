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
    const values = [...this.counts.keys()].sort((a, b) => a - b);
    return shares.map((q) => {
      let below = 0;
      for (const value of values) {
        below += this.counts.get(value) ?? 0;
        if (below >= q * this.total - 1e-9) return value;
      }
      return values.at(-1) ?? 0;
    });
  }
}
