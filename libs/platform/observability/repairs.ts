/**
 * Counts what safety nets mended (invariant 13): a sweep that had to wake a row, an orphan that was ended, a late machine.
 * In tests a repair without an injected cause is a failure; in production it raises an alert.
 */
export class Repairs {
  private readonly counts = new Map<string, number>();

  constructor(private readonly publish: (net: string, by: number) => void = () => undefined) {}

  /** `net` is a short kebab-case name that stays the same over releases, such as `sweep-direct`. */
  count(net: string, by = 1): void {
    if (!/^[a-z][a-z0-9-]{1,40}$/.test(net)) throw new RangeError(`"${net}" is not the name of a safety net`);
    if (by <= 0) return;
    this.counts.set(net, (this.counts.get(net) ?? 0) + by);
    this.publish(net, by);
  }

  /** Repairs so far, by net; nets that never acted are absent. */
  totals(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.counts);
  }
}
