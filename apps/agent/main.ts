import { chmod, mkdir } from 'node:fs/promises';
import { pino, destination, type Logger } from 'pino';
import { systemRandom } from '#kernel';
import { assembleAgent } from './assemble.js';
import { EmbeddedEngine } from './engines/embedded-engine.js';
import type { Engine } from './engines/engine.js';
import { HELP, parseFlags, type AgentFlags } from './flags.js';
import { Machine } from './host/machine.js';
import { lockState } from './state-lock.js';
import { pause } from './sync/backoff.js';
import { EnrolmentFailed, obtainCredential } from './sync/credential.js';
import { AGENT_VERSION } from './version.js';

const EXIT = {
  stopped: 0,
  goodbye: 0,
  crashed: 1,
  usage: 2,
  'credential-dead': 3,
  'stale-sequence': 4,
  locked: 4,
  enrolment: 5,
} as const;

// Idle connections must not keep an ended agent alive.
process.exit(await main(process.argv.slice(2)));

async function main(argv: readonly string[]): Promise<number> {
  const parsed = parseFlags(argv);
  switch (parsed.kind) {
    case 'help':
      process.stdout.write(HELP);
      return 0;
    case 'version':
      process.stdout.write(`${AGENT_VERSION}\n`);
      return 0;
    case 'wrong':
      process.stderr.write(`${parsed.sentences.join('\n')}\nberth-agent --help tells more.\n`);
      return EXIT.usage;
    case 'run':
      return await runAgent(parsed.flags);
  }
}

async function runAgent(flags: AgentFlags): Promise<number> {
  const log = pino({ name: 'berth-agent', level: flags.logLevel }, destination({ dest: 2, sync: true }));
  const stop = stopSignal(log);
  await mkdir(flags.stateDir, { recursive: true, mode: 0o700 });
  await chmod(flags.stateDir, 0o700);
  const unlock = await lockState(flags.stateDir);
  if (!unlock) {
    log.error({ stateDir: flags.stateDir }, 'another agent works in this state folder');
    return EXIT.locked;
  }
  const engines = [new EmbeddedEngine({ cacheDir: flags.stateDir, ggufPath: flags.ggufPath, log })];
  try {
    const machine = new Machine({ stateDir: flags.stateDir, name: flags.name, engines: engineNames(engines) });
    const credential = await obtainCredential({
      stateDir: flags.stateDir,
      brokerUrl: flags.brokerUrl,
      token: flags.token,
      facts: () => machine.facts(),
      random: systemRandom,
      pause,
      signal: stop,
      onRetry: (error, pauseMs) => log.warn({ problem: error.message, pauseMs }, 'enrolment failed, trying again'),
    });
    if (credential.brokerUrl !== flags.brokerUrl) {
      log.warn(
        { enrolledAt: credential.brokerUrl, broker: flags.brokerUrl },
        'this machine was enrolled at another address of the broker',
      );
    }
    const slots = flags.slots ?? Math.max(1, await machine.gpuCount());
    const agent = await assembleAgent({
      stateDir: flags.stateDir,
      brokerUrl: flags.brokerUrl,
      credential,
      machine,
      engines,
      slots,
      log,
      environment: process.env,
    });
    log.info({ agentId: credential.agentId, broker: flags.brokerUrl, slots, version: AGENT_VERSION }, 'agent starts');
    return EXIT[await agent.run(stop)];
  } catch (error) {
    if (error instanceof EnrolmentFailed) {
      if (error.code === 'stopped') return EXIT.stopped;
      log.error({ code: error.code }, error.message);
      return EXIT.enrolment;
    }
    log.fatal({ err: error }, 'the agent crashed');
    return EXIT.crashed;
  } finally {
    await Promise.all(engines.map((engine) => engine.close()));
    await unlock();
  }
}

/** Aborted by the first SIGTERM or SIGINT; the second ends the process on the spot. */
function stopSignal(log: Logger): AbortSignal {
  const controller = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(EXIT.crashed);
    log.info({ signal }, 'stopping; a second signal stops hard');
    controller.abort();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return controller.signal;
}

/** What the broker matches workloads against: `<engine>/<model>`. */
function engineNames(engines: readonly Engine[]): string[] {
  return engines
    .flatMap((engine) => engine.models().map((model) => `${engine.name}/${model.id}`.slice(0, 60)))
    .slice(0, 50);
}
