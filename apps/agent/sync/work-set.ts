import type { Logger } from 'pino';
import type { SyncResponse, WorkItem, WorkReport } from '#contracts';
import type { Clock } from '#kernel';
import { EngineFailure } from '../engines/engine.js';
import type { LogBuffer, LogStream } from '../runners/log-buffer.js';
import { CHECKPOINT_FILE, WorkFailure, failed, type Outcome, type Runner } from '../runners/runner.js';
import { FenceIsOver } from '../runners/transfer.js';
import type { BrokerFiles } from './broker-client.js';
import { capacity, keyOf, reconcile, type Held } from './desired.js';
import type { Journal } from './journal.js';

/** What changed, by how soon the broker should know. */
export type Urgency = 'finished' | 'logs' | 'progress';

interface Entry {
  readonly item: WorkItem;
  phase: Held['phase'];
  acknowledged: boolean;
  progress: { done: number; total: number } | undefined;
  /** Whether the broker has heard of the run as it stands: a broker answers at once to every report, so none is repeated. */
  told: boolean;
  /** Until when what it has should be saved, once the broker has said so. */
  checkpointBy: string | undefined;
  outcome: Outcome | null;
  readonly controller: AbortController;
  ended: Promise<void>;
}

export interface WorkSetPorts {
  readonly journal: Journal;
  readonly files: BrokerFiles;
  readonly runners: readonly Runner[];
  readonly logs: LogBuffer;
  readonly clock: Clock;
  readonly log: Logger;
  readonly slots: number;
}

/** Reasons to end a run early. */
class Stopped extends Error {}
class DeadlinePassed extends Error {}

const TIMER_MAX_MS = 2 ** 31 - 1;
const REPORTS_MAX = 1_000;

/** The works of this machine: starts, stops and forgets them as `reconcile` says, and knows what to report of each. */
export class WorkSet {
  /** Called when there is something new to tell the broker. */
  onChange: (urgency: Urgency) => void = () => undefined;
  private readonly entries = new Map<string, Entry>();
  private desired: readonly WorkItem[] = [];
  private brokerAheadMs = 0;
  private closed = false;
  /** Reconciliations one after the other: a folder must be gone before its work may start again. */
  private turn: Promise<void> = Promise.resolve();

  constructor(private readonly ports: WorkSetPorts) {
    for (const { item, outcome } of ports.journal.all()) {
      this.entries.set(keyOf(item), entry(item, outcome ? 'finished' : 'interrupted', outcome));
    }
  }

  held(): Held[] {
    return [...this.entries.values()].map(({ item, phase, acknowledged, checkpointBy }) => ({
      workId: item.workId,
      fence: item.fence,
      phase,
      acknowledged,
      ...(checkpointBy === undefined ? {} : { checkpoint: true }),
    }));
  }

  capacity(): number {
    return this.closed ? 0 : capacity(this.held(), this.desired, this.ports.slots);
  }

  /** Final reports that are not acknowledged, then what runs and has moved since it was told. */
  reports(): WorkReport[] {
    const final: WorkReport[] = [];
    const running: WorkReport[] = [];
    for (const { item, phase, acknowledged, outcome, progress, told } of this.entries.values()) {
      if (phase === 'finished' && outcome && !acknowledged) final.push(outcome);
      if (phase === 'running' && !told) {
        running.push({ workId: item.workId, fence: item.fence, state: 'running', ...(progress && { progress }) });
      }
    }
    return [...final, ...running].slice(0, REPORTS_MAX);
  }

  /** The broker has answered a request with these reports. */
  delivered(reports: readonly WorkReport[]): void {
    for (const report of reports) {
      const known = this.entries.get(keyOf(report));
      const sent = report.state === 'running' ? report.progress : undefined;
      if (known && sent?.done === known.progress?.done) known.told = true;
    }
  }

  /** Only a final report that was really sent counts: an acknowledged "running" must not swallow the "done" that came since. */
  acknowledge(sent: readonly WorkReport[], acknowledged: SyncResponse['acknowledged']): void {
    const final = new Set(sent.filter((report) => report.state !== 'running').map(keyOf));
    for (const work of acknowledged) {
      const known = this.entries.get(keyOf(work));
      if (known && final.has(keyOf(work))) known.acknowledged = true;
    }
  }

  /** Takes the broker's desired work as the goal from now on. `brokerAheadMs` corrects this machine's clock for deadlines. */
  reconcile(desired: readonly WorkItem[], brokerAheadMs: number): Promise<void> {
    this.desired = desired;
    this.brokerAheadMs = brokerAheadMs;
    return this.approach();
  }

  startNothingMore(): void {
    this.closed = true;
  }

  /** Resolves when nothing runs. */
  async settled(): Promise<void> {
    await Promise.all([...this.entries.values()].map((work) => work.ended));
  }

  /** Stops everything and keeps the folders: a later start goes on where this one ended. */
  async stopAll(): Promise<void> {
    this.closed = true;
    for (const work of this.entries.values()) work.controller.abort(new Stopped('the agent stops'));
    await this.settled();
    await this.turn;
  }

  async forgetAll(): Promise<void> {
    for (const { item } of this.entries.values()) await this.ports.journal.forget(item);
    this.entries.clear();
  }

  private approach(): Promise<void> {
    this.turn = this.turn.then(async () => {
      for (const step of reconcile(this.held(), this.desired, this.closed ? 0 : this.ports.slots)) {
        if (step.do === 'start') this.start(step.item);
        else if (step.do === 'forget') await this.forget({ workId: step.workId, fence: step.fence });
        else this.stop(step);
      }
      for (const item of this.desired) await this.askToSave(item);
    });
    return this.turn;
  }

  /** The machine stops soon: a file beside the work says so to whoever looks for it. */
  private async askToSave({ workId, fence, checkpointBy }: WorkItem): Promise<void> {
    const work = this.entries.get(keyOf({ workId, fence }));
    if (checkpointBy === undefined || work?.phase !== 'running' || work.checkpointBy !== undefined) return;
    work.checkpointBy = checkpointBy;
    this.ports.log.info({ workId, fence, checkpointBy }, 'the machine stops soon: work should save what it has');
    await this.ports.journal.leave(work.item, CHECKPOINT_FILE, `${checkpointBy}\n`).catch((error: unknown) => {
      this.ports.log.error({ workId, fence, problem: words(error) }, 'the work could not be told to save what it has');
    });
  }

  private start(item: WorkItem): void {
    const started = entry(item, 'running', null);
    this.entries.set(keyOf(item), started);
    started.ended = this.carryOut(started);
  }

  private stop(work: { workId: string; fence: number }): void {
    const running = this.entries.get(keyOf(work));
    if (!running) return;
    this.ports.log.info({ workId: work.workId, fence: work.fence }, 'work is no longer desired');
    running.phase = 'stopping';
    running.controller.abort(new Stopped('the work is no longer desired'));
  }

  private async forget(work: { workId: string; fence: number }): Promise<void> {
    this.entries.delete(keyOf(work));
    this.ports.logs.forget(work);
    await this.ports.journal.forget(work).catch((error: unknown) => {
      this.ports.log.error({ ...work, problem: words(error) }, 'the folder of a finished work could not be removed');
    });
  }

  /** One run from start to journalled outcome; never rejects. */
  private async carryOut(work: Entry): Promise<void> {
    const { journal, log } = this.ports;
    const { item } = work;
    const about = { workId: item.workId, fence: item.fence, kind: item.spec.kind };
    log.info(about, 'work starts');
    const deadline = this.deadlineTimer(work);
    try {
      const outcome = await this.runOnce(work);
      await journal.finish(item, outcome).catch((error: unknown) => {
        log.error(
          { ...about, problem: words(error) },
          'the outcome could not be journalled; a restart would run the work again',
        );
      });
      work.outcome = outcome;
      log.info(
        { ...about, state: outcome.state, ...(outcome.state === 'failed' && { code: outcome.code }) },
        'work ended',
      );
    } catch (error) {
      if (error instanceof FenceIsOver) log.warn(about, 'the broker refused the result: this fence is over');
      else log.info(about, 'work stopped');
    } finally {
      clearTimeout(deadline);
    }
    this.conclude(work);
  }

  private conclude(work: Entry): void {
    // Stopped, by the broker's wish or ours: forgotten if it stays undesired, run again if it does not.
    if (!work.outcome && work.controller.signal.aborted) work.phase = 'interrupted';
    else {
      work.phase = 'finished';
      // An old fence: there is nothing to tell, and it must not start again while the broker still names it.
      if (!work.outcome) work.acknowledged = true;
      this.onChange('finished');
    }
    void this.approach();
  }

  /** The outcome of the run, failures included. Rejects when it was stopped or its fence is over. */
  private async runOnce(work: Entry): Promise<Outcome> {
    const { journal, files, runners, logs, clock, log } = this.ports;
    const { item, controller } = work;
    const { signal } = controller;
    try {
      const runner = runners.find((candidate) => candidate.kind === item.spec.kind);
      if (!runner) throw new WorkFailure('unsupported-work', `This agent does not run "${item.spec.kind}".`);
      const record = await journal.begin(item);
      logs.begin(item, record.runs - 1);
      return await runner.run({
        item,
        folder: record.folder,
        files,
        logs: { write: (of, stream, text) => this.writeLog(of, stream, text) },
        clock,
        log,
        signal,
        progress: (done, total) => {
          work.progress = { done, total };
          work.told = false;
          this.onChange('progress');
        },
      });
    } catch (error) {
      if (signal.aborted && signal.reason instanceof DeadlinePassed) {
        return failed(item, 'deadline-passed', 'The work was stopped at its deadline.');
      }
      if (signal.aborted || error instanceof FenceIsOver) throw error;
      if (error instanceof WorkFailure) return failed(item, error.code, error.message, error.exitCode);
      if (error instanceof EngineFailure) return failed(item, `engine-${error.reason}`, error.message);
      log.error({ workId: item.workId, fence: item.fence, err: error }, 'work failed inside the agent');
      return failed(item, 'agent-error', words(error));
    }
  }

  private writeLog(of: { workId: string; fence: number }, stream: LogStream, text: string): void {
    this.ports.logs.write(of, stream, text);
    this.onChange('logs');
  }

  private deadlineTimer({ item, controller }: Entry): NodeJS.Timeout {
    const leftMs = Date.parse(item.deadlineAt) - (this.ports.clock.now() + this.brokerAheadMs);
    return setTimeout(
      () => controller.abort(new DeadlinePassed()),
      Math.min(Math.max(0, leftMs), TIMER_MAX_MS),
    ).unref();
  }
}

function entry(item: WorkItem, phase: Held['phase'], outcome: Outcome | null): Entry {
  return {
    item,
    phase,
    acknowledged: false,
    progress: undefined,
    told: false,
    checkpointBy: undefined,
    outcome,
    controller: new AbortController(),
    ended: Promise.resolve(),
  };
}

function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
