/**
 * The `capacity` smallest of many (cost, position) pairs: a bounded max-heap over typed arrays. Equal costs are ordered
 * by `before`, so that the result does not depend on the order of arrival.
 */
export class Top {
  private readonly cost: Float64Array;
  private readonly position: Int32Array;
  private size = 0;

  constructor(
    private readonly capacity: number,
    private readonly before: (a: number, b: number) => boolean,
  ) {
    this.cost = new Float64Array(capacity);
    this.position = new Int32Array(capacity);
  }

  /** Anything above this cannot enter. */
  get worst(): number {
    return this.size < this.capacity ? Infinity : (this.cost[0] ?? Infinity);
  }

  offer(cost: number, position: number): void {
    if (this.size < this.capacity) {
      this.rise(this.size++, cost, position);
    } else if (this.capacity > 0 && this.less(cost, position, this.cost[0] ?? 0, this.position[0] ?? 0)) {
      this.sink(cost, position);
    }
  }

  /** Positions in ascending order. */
  sorted(): number[] {
    return Array.from({ length: this.size }, (_, i) => i)
      .sort((a, b) => {
        const [ca, cb, pa, pb] = [this.cost[a] ?? 0, this.cost[b] ?? 0, this.position[a] ?? 0, this.position[b] ?? 0];
        return this.less(ca, pa, cb, pb) ? -1 : 1;
      })
      .map((i) => this.position[i] ?? 0);
  }

  private less(costA: number, a: number, costB: number, b: number): boolean {
    return costA < costB || (costA === costB && this.before(a, b));
  }

  private rise(slot: number, cost: number, position: number): void {
    let i = slot;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const pc = this.cost[parent] ?? 0;
      const pp = this.position[parent] ?? 0;
      if (!this.less(pc, pp, cost, position)) break;
      this.cost[i] = pc;
      this.position[i] = pp;
      i = parent;
    }
    this.cost[i] = cost;
    this.position[i] = position;
  }

  private sink(cost: number, position: number): void {
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= this.size) break;
      const right = child + 1;
      if (
        right < this.size &&
        this.less(this.cost[child] ?? 0, this.position[child] ?? 0, this.cost[right] ?? 0, this.position[right] ?? 0)
      )
        child = right;
      const cc = this.cost[child] ?? 0;
      const cp = this.position[child] ?? 0;
      if (!this.less(cost, position, cc, cp)) break;
      this.cost[i] = cc;
      this.position[i] = cp;
      i = child;
    }
    this.cost[i] = cost;
    this.position[i] = position;
  }
}
