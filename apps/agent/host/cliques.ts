/** 0 to n - 1 in lists whose members are all linked with each other: each joins the first that it is linked with throughout. */
export function cliques(n: number, linked: (a: number, b: number) => boolean): number[][] {
  const lists: number[][] = [];
  for (let i = 0; i < n; i++) {
    const home = lists.find((list) => list.every((other) => linked(other, i)));
    if (home) home.push(i);
    else lists.push([i]);
  }
  return lists;
}
