/**
 * A state table: for each state the states it may move to. Every transition in the product is checked
 * against one of these (invariant 5); a state with no way out is terminal and stays terminal.
 */
export class StateMachine<S extends string> {
  constructor(
    readonly name: string,
    readonly initial: S,
    readonly table: Readonly<Record<S, readonly S[]>>,
  ) {
    const reached = new Set<S>([initial]);
    const open: S[] = [initial];
    for (let s = open.pop(); s !== undefined; s = open.pop()) {
      for (const next of table[s]) {
        if (!(next in table)) throw new Error(`${name}: ${s} leads to unknown state ${next}`);
        if (!reached.has(next)) {
          reached.add(next);
          open.push(next);
        }
      }
    }
    const unreachable = (Object.keys(table) as S[]).filter((s) => !reached.has(s));
    if (unreachable.length > 0) throw new Error(`${name}: never reached: ${unreachable.join(', ')}`);
  }

  get states(): readonly S[] {
    return Object.keys(this.table) as S[];
  }

  isTerminal(state: S): boolean {
    return this.table[state].length === 0;
  }

  can(from: S, to: S): boolean {
    return this.table[from].includes(to);
  }

  /** Throws when the table does not allow the step: that is a bug in the caller, never the user's. */
  assert(from: S, to: S): void {
    if (!this.can(from, to)) throw new Error(`${this.name}: ${from} -> ${to} is not in the state table`);
  }
}
