/**
 * Insertions, deletions, replacements and swaps of neighbours that make one word of another (optimal string alignment: no letter is moved twice).
 * `replacement` says what a wrong letter costs, from 0 to 1; every one costs 1 where nothing is said.
 */
export function editDistance(a: string, b: string, replacement: (x: string, y: string) => number = () => 1): number {
  let beforeLast: readonly number[] = [];
  let last: readonly number[] = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const [x = '', y = ''] = [a[i - 1], b[j - 1]];
      const replaced = x === y ? 0 : replacement(x, y);
      let least = Math.min((last[j - 1] ?? 0) + replaced, (last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      if (i > 1 && j > 1 && x === b[j - 2] && a[i - 2] === y) least = Math.min(least, (beforeLast[j - 2] ?? 0) + 1);
      row.push(least);
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length] ?? 0;
}
