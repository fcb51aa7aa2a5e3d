/** What leaves when: a binary heap by time. */
export class Departures<T> {
  private readonly heap: { readonly at: number; readonly what: T }[] = [];

  add(at: number, what: T): void {
    const entry = { at, what };
    let i = this.heap.push(entry) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = this.heap[parent];
      if (!above || above.at <= at) break;
      this.heap[i] = above;
      i = parent;
    }
    this.heap[i] = entry;
  }

  /** Takes out the earliest if it is due. */
  dueBy(now: number): { readonly at: number; readonly what: T } | null {
    const first = this.heap[0];
    if (!first || first.at > now) return null;
    const last = this.heap.pop();
    if (last && last !== first) this.sink(last);
    return first;
  }

  private sink(entry: { readonly at: number; readonly what: T }): void {
    let i = 0;
    for (;;) {
      const [left, right] = [this.heap[2 * i + 1], this.heap[2 * i + 2]];
      if (!left) break;
      const [child, at] = right && right.at < left.at ? [right, 2 * i + 2] : [left, 2 * i + 1];
      if (child.at >= entry.at) break;
      this.heap[i] = child;
      i = at;
    }
    this.heap[i] = entry;
  }
}
