/** Number of single-character edits between two words (Levenshtein 1966). */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}

/** The name that looks most like `word`, a BERTH_ in front of either not counted; the earlier one of two equals. */
export function nearestName<N extends string>(word: string, names: readonly [N, ...N[]]): N {
  const bare = (name: string): string => name.replace(/^BERTH_/, '');
  const [first] = names;
  return names.reduce<N>(
    (best, name) => (distance(bare(word), bare(name)) < distance(bare(word), bare(best)) ? name : best),
    first,
  );
}
