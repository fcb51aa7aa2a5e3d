import { fork, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { cleanEnvironment } from '../clean-environment.js';
import type { ChildAnswer, ChildRequest } from './engine-child.js';
import { EngineFailure, type ChatQuestion } from './engine.js';

type Call =
  | { readonly op: 'embed'; readonly texts: readonly string[] }
  | { readonly op: 'chat'; readonly question: ChatQuestion };

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** Modules beside this one, with the suffix this one has: `.js` when built, `.ts` from source. */
const beside = (name: string): URL =>
  new URL(`./${name}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);

/** One model in a process of its own: started by the first call, started again by the call after a crash. */
export class EngineProcess {
  private child: Promise<ChildProcess> | undefined;
  private readonly waiting = new Map<number, Waiting>();
  private nextId = 1;

  constructor(
    private readonly backend: 'use-backend' | 'llama-backend',
    private readonly options: Readonly<Record<string, string>>,
    private readonly log: Logger,
  ) {}

  /** Resolves with the backend's answer. Aborting rejects at once; the process finishes or skips the call on its own. */
  async call(request: Call, signal: AbortSignal): Promise<unknown> {
    signal.throwIfAborted();
    const child = await (this.child ??= this.start());
    signal.throwIfAborted();
    const id = this.nextId++;
    return await new Promise<unknown>((resolve, reject) => {
      const onAbort = (): void => {
        this.waiting.delete(id);
        send(child, { id, op: 'cancel' });
        reject(signal.reason as Error);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      const settle =
        <T>(then: (value: T) => void) =>
        (value: T): void => {
          signal.removeEventListener('abort', onAbort);
          then(value);
        };
      this.waiting.set(id, { resolve: settle(resolve), reject: settle(reject) });
      send(child, { id, ...request });
    });
  }

  async close(): Promise<void> {
    const child = await this.child?.catch(() => undefined);
    this.child = undefined;
    child?.kill('SIGKILL');
  }

  private start(): Promise<ChildProcess> {
    const child = fork(
      fileURLToPath(beside('engine-child')),
      [beside(this.backend).href, JSON.stringify(this.options)],
      {
        env: cleanEnvironment(process.env),
        execArgv: [],
        serialization: 'advanced',
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      },
    );
    for (const stream of [child.stdout, child.stderr]) {
      if (stream)
        createInterface({ input: stream }).on('line', (text) =>
          this.log.debug({ engine: this.backend, text }, 'engine output'),
        );
    }
    return new Promise((resolve, reject) => {
      let failed = false;
      const fail = (reason: EngineFailure['reason'], message: string): void => {
        // The exit that follows an error must not touch the next process's calls.
        if (failed) return;
        failed = true;
        this.child = undefined;
        const failure = new EngineFailure(reason, message);
        reject(failure);
        for (const call of this.waiting.values()) call.reject(failure);
        this.waiting.clear();
      };
      child.once('error', (error) => fail('unavailable', error.message));
      child.once('exit', (code, signal) =>
        fail('crashed', `the process of ${this.backend} ended (${signal ?? `exit ${code}`})`),
      );
      child.on('message', (answer: ChildAnswer) => {
        if (answer.op === 'ready') return resolve(child);
        if (answer.op === 'unavailable') return fail('unavailable', answer.message);
        const call = this.waiting.get(answer.id);
        this.waiting.delete(answer.id);
        if (answer.op === 'answer') call?.resolve(answer.value);
        else call?.reject(new EngineFailure('crashed', answer.message));
      });
    });
  }
}

/** A process that is gone answers with its exit event; the failed send adds nothing. */
function send(child: ChildProcess, request: ChildRequest): void {
  if (child.connected) child.send(request, () => undefined);
}
