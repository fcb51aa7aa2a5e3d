import { ConfigError, readConfig } from '#platform/config';
import { bootWorker } from './boot.js';

/** The worker as a process: one JSON line on standard output when it works, logs on standard error. */
try {
  const worker = await bootWorker(readConfig());
  process.stdout.write(`${JSON.stringify({ working: true, roles: worker.roles, ops: worker.opsUrl })}\n`);
  let stopping = false;
  const stop = (): void => {
    if (stopping) process.exit(1);
    stopping = true;
    worker.close().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`${String(error)}\n`);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
} catch (error) {
  process.stderr.write(
    `${error instanceof ConfigError ? error.message : error instanceof Error ? error.stack : String(error)}\n`,
  );
  process.exit(1);
}
