import { WORKER, type Procedure, type Store } from '#platform/database';

/** Months with a partition of their own before the running one, for late events, and after it. */
const MONTHS_BACK = 2;
const MONTHS_AHEAD = 3;

const usagePartitions: Procedure<
  { at: number; back: number; ahead: number },
  { made: number; stranded: number; resting: number }
> = {
  name: 'usage_partitions',
  args: { at: 'time', back: 'int', ahead: 'int' },
  result: { made: 'int', stranded: 'int', resting: 'int' },
  // The store in memory has no partitions.
  inMemory: () => Promise.resolve({ made: 0, stranded: 0, resting: 0 }),
};

/**
 * Makes the partitions of the months to come. `alarm` hears of records outside all of them: nothing of theirs is lost or wrong, but
 * the month cannot be taken away as a whole.
 */
export async function keepPartitions(store: Store, alarm: (message: string) => void): Promise<number> {
  const { made, stranded, resting } = await store.transaction(WORKER, async (tx) =>
    tx.call(usagePartitions, { at: await tx.now(), back: MONTHS_BACK, ahead: MONTHS_AHEAD }),
  );
  if (resting > 0)
    alarm(
      `${resting} usage records lie in no month's partition` +
        (stranded > 0 ? `; ${stranded} months cannot have one because of them` : ''),
    );
  return made;
}
