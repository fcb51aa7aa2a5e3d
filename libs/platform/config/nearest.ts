import { editDistance } from '#kernel';

/** The name that looks most like `word`, a BERTH_ in front of either not counted; the earlier one of two equals. */
export function nearestName<N extends string>(word: string, names: readonly [N, ...N[]]): N {
  const bare = (name: string): string => name.replace(/^BERTH_/, '');
  const [first] = names;
  return names.reduce<N>(
    (best, name) => (editDistance(bare(word), bare(name)) < editDistance(bare(word), bare(best)) ? name : best),
    first,
  );
}
