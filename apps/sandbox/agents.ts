import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { CloudMachine, SandboxCloud } from '#adapters/sandbox-cloud';

/** A started agent. `warn` lets it finish (SIGTERM), `kill` is the loss of the machine (SIGKILL). */
export interface AgentProcess {
  readonly pid: number | null;
  readonly exited: Promise<void>;
  warn(): void;
  kill(): void;
}

export type StartAgent = (machine: CloudMachine) => AgentProcess | null;

/** Keeps one agent per running machine: starts, warns and kills by comparing with what the cloud says. */
export class MachineRoom {
  private readonly agents = new Map<string, AgentProcess & { warned: boolean }>();
  /** A machine boots once: an agent that exits is not started again. */
  private readonly started = new Set<string>();

  constructor(
    private readonly cloud: SandboxCloud,
    private readonly start: StartAgent,
  ) {}

  /** Machines with an agent process that was not killed. */
  get running(): ReadonlyMap<string, { readonly pid: number | null }> {
    return this.agents;
  }

  /** Level-triggered: call it as often as you like. */
  settle(): void {
    for (const machine of this.cloud.machines()) {
      const alive = machine.state === 'running' && !machine.agentDead;
      const agent = this.agents.get(machine.id);
      if (alive && !this.started.has(machine.id)) {
        this.started.add(machine.id);
        const fresh = this.start(machine);
        if (fresh) this.agents.set(machine.id, Object.assign(fresh, { warned: false }));
      } else if (agent && !alive) {
        this.agents.delete(machine.id);
        agent.kill();
      } else if (agent && machine.interrupt && !agent.warned) {
        agent.warned = true;
        agent.warn();
      }
    }
  }

  /** Kills what is left; safe in an exit handler. */
  killAll(): void {
    for (const agent of this.agents.values()) agent.kill();
    this.agents.clear();
  }

  /** Kills what is left and waits until it is gone. */
  async close(): Promise<void> {
    const gone = [...this.agents.values()].map((agent) => agent.exited);
    this.killAll();
    await Promise.all(gone);
  }
}

/**
 * Starts the real agent as a child process in a group of its own, so that the work it runs dies with the machine.
 * It sees the environment of a fresh machine and nothing of ours. A machine without bootstrap stays empty.
 * Its disk (the state folder) is removed when it ends.
 */
export function processStarter(
  command: readonly string[],
  diskRoot: string,
  environment: Readonly<Record<string, string>>,
): StartAgent {
  const [program = 'node', ...fixed] = command;
  return ({ id, request }) => {
    if (!request.bootstrap) return null;
    const disk = join(diskRoot, id);
    mkdirSync(disk, { recursive: true, mode: 0o700 });
    const { brokerUrl, enrolToken } = request.bootstrap;
    const child = spawn(
      program === 'node' ? process.execPath : program,
      [...fixed, '--broker', brokerUrl, '--token', enrolToken, '--state-dir', disk],
      // Stdout belongs to the sandbox's own line; an agent talks on stderr.
      { stdio: ['ignore', 2, 2], detached: true, env: { ...environment, HOME: disk } },
    );
    let gone = false;
    const kill = (): void => {
      if (!gone) killGroup(child);
    };
    const exited = new Promise<void>((resolve) => {
      const end = (): void => {
        // What the agent started ends with it; later the number of the group may belong to somebody else.
        kill();
        gone = true;
        rmSync(disk, { recursive: true, force: true });
        resolve();
      };
      child.once('exit', end);
      // A program that cannot be started is a machine that never speaks.
      child.once('error', (error) => {
        process.stderr.write(`agent of ${id}: ${error.message}\n`);
        end();
      });
    });
    return { pid: child.pid ?? null, exited, warn: () => void child.kill('SIGTERM'), kill };
  };
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // The group is gone already.
  }
}
