import { parseFlags, usage } from './options.js';
import { startSandbox } from './start.js';

async function main(): Promise<void> {
  const sandbox = await startSandbox(parseFlags(process.argv.slice(2)));
  process.once('exit', () => sandbox.killAgents());
  const stop = (): void => {
    void sandbox.close().then(() => process.exit(0));
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  process.stdout.write(`${JSON.stringify({ listening: sandbox.url, pid: process.pid })}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${usage}\n`);
  process.exit(2);
});
