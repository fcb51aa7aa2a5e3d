import { bootApi } from './boot.js';
import { ConfigError, readConfig } from '#platform/config';

/** The API as a process: one JSON line on standard output when it listens, logs on standard error. */
try {
  const api = await bootApi(readConfig(), (platformKey) =>
    process.stdout.write(`${JSON.stringify({ platformKey })}\n`),
  );
  process.stdout.write(
    `${JSON.stringify({ listening: api.url, ...(api.platformKey ? { platformKey: api.platformKey } : {}) })}\n`,
  );
  let stopping = false;
  const stop = (): void => {
    if (stopping) process.exit(1);
    stopping = true;
    api.close().then(
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
