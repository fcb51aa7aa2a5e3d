/** Terminals, npm and service managers may each deliver the same wish to stop; only a later one is a second wish. */
const SAME_WISH_MS = 1_000;

/** Aborted by Ctrl-C, SIGTERM, or the closing of the terminal; a second wish ends us on the spot with `hardExit`. */
export function stopSignal(hardExit: number): AbortSignal {
  const controller = new AbortController();
  let askedAt = Number.POSITIVE_INFINITY;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (Date.now() - askedAt > SAME_WISH_MS) process.exit(hardExit);
      if (controller.signal.aborted) return;
      askedAt = Date.now();
      controller.abort();
    });
  }
  return controller.signal;
}

/** Resolves when it is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
