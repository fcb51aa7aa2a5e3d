/**
 * GPUs of one machine in NVLink domains: lists of indices, none in two. What fits one domain is only ever taken inside one; what is
 * larger than all of them spans as few as possible. Of several domains the fullest is taken, so that whole ones last.
 */
export type Domains = readonly (readonly number[])[];

/** GPUs for one lease, lowest first; null where they are not free together. */
export function gpusTogether(domains: Domains, free: ReadonlySet<number>, wanted: number): number[] | null {
  const open = domains.map((d) => d.filter((gpu) => free.has(gpu)).toSorted((a, b) => a - b));
  if (wanted <= largestDomain(domains)) return tightest(open, wanted)?.slice(0, wanted) ?? null;
  if (open.reduce((sum, d) => sum + d.length, 0) < wanted) return null;
  const taken: number[] = [];
  const byRoom = open.toSorted((a, b) => b.length - a.length || (a[0] ?? 0) - (b[0] ?? 0));
  while (taken.length < wanted) {
    const last = tightest(byRoom, wanted - taken.length);
    const next = last ?? byRoom[0] ?? [];
    taken.push(...next.slice(0, wanted - taken.length));
    byRoom.splice(byRoom.indexOf(next), 1);
  }
  return taken.toSorted((a, b) => a - b);
}

/** How many leases of that many GPUs can be had one after the other. */
export function blocksFree(domains: Domains, free: ReadonlySet<number>, wanted: number): number {
  const open = domains.map((d) => d.filter((gpu) => free.has(gpu)).length);
  return wanted <= largestDomain(domains)
    ? open.reduce((sum, n) => sum + Math.floor(n / wanted), 0)
    : Math.floor(open.reduce((sum, n) => sum + n, 0) / wanted);
}

export function largestDomain(domains: Domains): number {
  return Math.max(0, ...domains.map((d) => d.length));
}

/** The one with the least room among those with enough, the first of equals. */
function tightest(open: readonly number[][], wanted: number): number[] | undefined {
  return open.filter((d) => d.length >= wanted).toSorted((a, b) => a.length - b.length || (a[0] ?? 0) - (b[0] ?? 0))[0];
}
