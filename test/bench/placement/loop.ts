import { setImmediate } from 'node:timers/promises';

/** How long the event loop was kept from anybody else, ascending, while `work` ran. */
export async function loopKept(work: () => Promise<unknown>): Promise<{ blocks: number[]; ms: number }> {
  const blocks: number[] = [];
  let done = false;
  const watch = (async () => {
    let from = performance.now();
    while (!done) {
      await setImmediate();
      const now = performance.now();
      blocks.push(now - from);
      from = now;
    }
  })();
  const from = performance.now();
  await work();
  const ms = performance.now() - from;
  done = true;
  await watch;
  return { blocks: blocks.sort((a, b) => a - b), ms };
}
