/**
 * Distinct values by a text that tells them apart; a value's code is its place in `entries`. Codes stay as they are until
 * `keep` throws out what nobody uses any more.
 */
export class Dictionary<T> {
  private list: T[] = [];
  private readonly codes = new Map<string, number>();

  constructor(
    private readonly keyOf: (value: T) => string,
    private readonly same: (a: T, b: T) => boolean,
  ) {}

  get entries(): readonly T[] {
    return this.list;
  }

  /**
   * The code of that value; `make` gives what is kept of it when it is new. `guess` is the code it had before, or its
   * neighbour's: most changes are of prices only, and comparing is several times faster than making a key.
   */
  codeOf(value: T, guess: number, make: (value: T) => T): number {
    const guessed = this.list[guess];
    if (guessed !== undefined && this.same(guessed, value)) return guess;
    const key = this.keyOf(value);
    let code = this.codes.get(key);
    if (code === undefined) {
      code = this.list.push(make(value)) - 1;
      this.codes.set(key, code);
    }
    return code;
  }

  /** Forgets entries that the first `size` codes of `column` do not use, and writes the new codes into it. */
  keep(column: Uint32Array, size: number): void {
    const newCodes = new Int32Array(this.list.length).fill(-1);
    const kept: T[] = [];
    for (let i = 0; i < size; i++) {
      const old = column[i] ?? 0;
      let code = newCodes[old] ?? -1;
      const value = this.list[old];
      if (code < 0 && value !== undefined) {
        code = kept.push(value) - 1;
        newCodes[old] = code;
      }
      column[i] = code;
    }
    this.list = kept;
    this.codes.clear();
    kept.forEach((value, code) => this.codes.set(this.keyOf(value), code));
  }
}
