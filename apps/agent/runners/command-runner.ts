import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { WorkItem } from '#contracts';
import { cleanEnvironment } from '../clean-environment.js';
import { visibleGpus } from '../host/visible-gpus.js';
import { writeFileDurably } from '../durable-file.js';
import { LineSplitter } from './line-splitter.js';
import { killLeftover, markProcess, signalGroup, type ProcessMark } from './process-group.js';
import { CHECKPOINT_FILE, WorkFailure, failed, type Outcome, type RunContext, type Runner } from './runner.js';
import type { Transfers } from './transfer.js';
import { openOutput, placeForInput } from './work-path.js';

type CommandSpec = Extract<WorkItem['spec'], { kind: 'command' }>;

interface Ended {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly timedOut: boolean;
  readonly busyMs: number;
}

/** After SIGTERM a process group has this long before SIGKILL. */
export const KILL_GRACE_MS = 5_000;
/** A process that left the group may hold the pipes open after the command's end; its output is not waited for. */
const PIPE_GRACE_MS = 500;

/**
 * Runs a command in a folder of its own, as leader of its own process group, and removes the folder afterwards. The group is
 * killed with its leader: nothing of a work outlives it, unless it made a session of its own. The command runs as the agent's
 * user: the folder keeps works apart, it is no wall against a hostile one.
 */
export class CommandRunner implements Runner<'command'> {
  readonly kind = 'command';

  constructor(
    private readonly transfers: Transfers,
    private readonly ownEnvironment: Readonly<Record<string, string | undefined>>,
    private readonly killGraceMs = KILL_GRACE_MS,
  ) {}

  async run(context: RunContext): Promise<Outcome> {
    const { item, folder, signal } = context;
    const { spec } = item;
    if (spec.kind !== 'command') throw new TypeError('not a command');
    const scratch = join(folder, 'scratch');
    const markFile = join(folder, 'process.json');
    const checkpointFile = join(folder, CHECKPOINT_FILE);
    await rm(checkpointFile, { force: true });
    await stopLeftover(markFile);
    await rm(scratch, { recursive: true, force: true });
    await mkdir(scratch, { recursive: true, mode: 0o700 });
    try {
      // All paths are judged before the first byte moves.
      for (const input of spec.inputs) await placeForInput(scratch, input.path);
      for (const input of spec.inputs) await this.fetchInput(input, scratch, context);
      const env = {
        ...cleanEnvironment(this.ownEnvironment),
        ...spec.env,
        ...visibleGpus(item.gpus),
        BERTH_CHECKPOINT_FILE: checkpointFile,
      };
      const ended = await this.execute(spec, env, scratch, markFile, context);
      signal.throwIfAborted();
      if (ended.timedOut)
        return failed(item, 'timeout', `The command was stopped after ${spec.timeoutS} s.`, ended.exitCode);
      if (ended.exitCode !== 0) {
        const how = ended.signal ? `was ended by ${ended.signal}` : `ended with exit code ${ended.exitCode}`;
        return failed(item, 'command-failed', `The command ${how}.`, ended.exitCode);
      }
      for (const path of spec.outputs) await this.sendOutput(path, scratch, context);
      const counts = { ok: 1, failed: 0, inputTokens: 0, outputTokens: 0 };
      return {
        workId: item.workId,
        fence: item.fence,
        state: 'done',
        resultSha256: null,
        counts,
        exitCode: 0,
        busyMs: ended.busyMs,
      };
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  }

  private async fetchInput(input: CommandSpec['inputs'][number], scratch: string, context: RunContext): Promise<void> {
    const place = await placeForInput(scratch, input.path);
    // An artifact's id, or its whole path at the broker.
    const from = input.from.startsWith('/') ? input.from : `/agent/v1/artifacts/${encodeURIComponent(input.from)}`;
    await this.transfers.retry('input-refused', context.signal, () =>
      context.files.download(from, place, context.signal),
    );
  }

  private async sendOutput(path: string, scratch: string, context: RunContext): Promise<void> {
    const file = await openOutput(scratch, path);
    try {
      await this.transfers.retry('output-refused', context.signal, () =>
        context.files.uploadOutput(context.item, path, file, context.signal),
      );
    } finally {
      await file.close();
    }
  }

  private async execute(
    spec: CommandSpec,
    env: Readonly<Record<string, string>>,
    scratch: string,
    markFile: string,
    context: RunContext,
  ): Promise<Ended> {
    const { signal, clock } = context;
    const [program = '', ...args] = spec.command;
    const startedAt = clock.now();
    const child = spawn(program, args, {
      cwd: scratch,
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const exited = exitOf(child);
    exited.catch(() => undefined);
    const drained = this.stream(child, context);
    const { pid } = child;
    if (pid === undefined) {
      const reason = await exited.then(
        () => 'it has no process',
        (error: Error) => error.message,
      );
      throw new WorkFailure('command-not-started', `The command did not start: ${reason}`);
    }

    let timedOut = false;
    const stop = (): void => void this.stopGroup(pid, exited);
    const timer = setTimeout(
      () => {
        timedOut = true;
        stop();
      },
      Math.min(spec.timeoutS * 1_000, TIMER_MAX_MS),
    );
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    try {
      await writeFileDurably(markFile, JSON.stringify(await markProcess(pid)));
      const { exitCode, exitSignal } = await exited;
      return { exitCode, signal: exitSignal, timedOut, busyMs: clock.now() - startedAt };
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      signalGroup(pid, 'SIGKILL');
      await Promise.race([drained, wait(PIPE_GRACE_MS, undefined, { ref: false })]);
      child.stdout?.destroy();
      child.stderr?.destroy();
      await rm(markFile, { force: true });
    }
  }

  /** SIGTERM to the whole group, then SIGKILL when the leader takes longer than the grace. */
  private async stopGroup(pid: number, exited: Promise<unknown>): Promise<void> {
    signalGroup(pid, 'SIGTERM');
    const late = await Promise.race([
      exited.then(
        () => false,
        () => false,
      ),
      wait(this.killGraceMs, true, { ref: false }),
    ]);
    if (late) signalGroup(pid, 'SIGKILL');
  }

  private async stream(child: ChildProcess, context: RunContext): Promise<void> {
    const ends = (['stdout', 'stderr'] as const).map((name) => {
      const splitter = new LineSplitter((text) => context.logs.write(context.item, name, text));
      const from = child[name];
      return new Promise<void>((resolve) => {
        from?.on('data', (chunk: Buffer) => splitter.push(chunk));
        from?.once('close', () => {
          splitter.end();
          resolve();
        });
      });
    });
    await Promise.all(ends);
  }
}

/** Longest delay a timer takes. */
const TIMER_MAX_MS = 2 ** 31 - 1;

function exitOf(child: ChildProcess): Promise<{ exitCode: number | null; exitSignal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (exitCode, exitSignal) => resolve({ exitCode, exitSignal }));
  });
}

/** A command that an earlier life of the agent started must be gone before it is started again. */
async function stopLeftover(markFile: string): Promise<void> {
  try {
    await killLeftover(JSON.parse(await readFile(markFile, 'utf8')) as ProcessMark);
  } catch {
    // No mark, or one torn by a crash: there is nothing to recognise.
  }
}
