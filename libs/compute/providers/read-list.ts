import { VendorError, type Offer, type ProviderPort } from '#contracts';

/** More than any vendor has; a list without end must not fill the memory. */
export const OFFERS_AT_MOST = 500_000;

/**
 * Reads a vendor's list to its end. When `signal` aborts, the list is left where it is and this fails at once, whether the adapter
 * heeds the signal or not: what a vendor that hangs holds up is its own list.
 */
export async function readList(
  port: Pick<ProviderPort, 'listOffers'>,
  signal: AbortSignal,
  late: () => Error,
): Promise<Offer[]> {
  const list: Offer[] = [];
  let stop = (): void => undefined;
  const stopped = new Promise<never>((_, reject) => {
    stop = () => reject(late());
    signal.addEventListener('abort', stop, { once: true });
  });
  // Nobody may be listening when it comes.
  stopped.catch(() => undefined);
  if (signal.aborted) stop();
  const offers = port.listOffers({ signal })[Symbol.asyncIterator]();
  let ended = false;
  try {
    for (;;) {
      const next = await Promise.race([offers.next(), stopped]);
      if (next.done === true) {
        ended = true;
        return list;
      }
      if (list.length === OFFERS_AT_MOST)
        throw new VendorError('transient', 'account', `the list has more than ${OFFERS_AT_MOST} offers`);
      list.push(next.value);
    }
  } finally {
    signal.removeEventListener('abort', stop);
    // A generator that hangs never answers this either.
    if (!ended) void Promise.resolve(offers.return?.()).catch(() => undefined);
  }
}
