import { createHash } from 'node:crypto';
import { createServer } from 'node:net';

/** Below the range that Linux hands to outgoing connections (32768 and up), so a remembered port stays ours. */
const FIRST = 20_000;
const COUNT = 12_000;

/** Ports to try, in order: the remembered one, then a sequence that differs from home to home. */
export function* candidatePorts(home: string, remembered: number | null): Generator<number> {
  if (remembered !== null) yield remembered;
  const start = createHash('sha256').update(home).digest().readUInt32BE(0);
  for (let step = 0; step < COUNT; step += 1) yield FIRST + ((start + step) % COUNT);
}

/** Whether nothing listens on 127.0.0.1:`port` at this moment. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ host: '127.0.0.1', port, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
