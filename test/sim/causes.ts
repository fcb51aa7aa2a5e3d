/** Which faults have befallen what: a safety net may act only for something that has been blamed on one (invariant 13). */
export class Causes {
  private readonly of = new Map<string, Set<string>>();

  blame(subjects: Iterable<string>, kind: string): void {
    for (const subject of subjects) {
      let kinds = this.of.get(subject);
      if (!kinds) this.of.set(subject, (kinds = new Set()));
      kinds.add(kind);
    }
  }

  /** The faults that befell any of these. */
  kinds(subjects: Iterable<string>): string[] {
    return [...new Set([...subjects].flatMap((s) => [...(this.of.get(s) ?? [])]))];
  }
}
