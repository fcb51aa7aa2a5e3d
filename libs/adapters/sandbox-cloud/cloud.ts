import type { Clock } from '#kernel';
import { billLine, type BillLine } from './bill.js';
import { FaultBook, hasTag, type FaultPoint, type FaultRule, type FaultSubject } from './fault.js';
import { Fleet, type LogEntry } from './fleet.js';
import { streamFor, viewAt, type CloudMachine } from './machine.js';
import { done, lostBy, refused, refusalOf } from './refusal.js';
import { defaultSettings, defaultSkus, skuKey, type CloudSettings, type Sku } from './sku.js';
import type { Answer, CloudCreate, CloudMachineView, CloudOffer, CloudPage } from './wire.js';

export interface SandboxCloudOptions {
  readonly clock: Clock;
  readonly seed: number | string;
  readonly skus?: readonly Sku[];
  readonly settings?: Partial<CloudSettings>;
  readonly faults?: readonly FaultRule[];
}

export interface ReadOptions {
  /** Show the world of this instant instead of drawing a lag within the consistency window. */
  readonly asOfMs?: number;
}

/**
 * A fake GPU cloud: a state machine over plain data, without I/O and without timers. Time comes from the clock;
 * what was due is caught up at every call. Same seed, same calls at the same times: same machines, same log, same bill.
 */
export class SandboxCloud {
  readonly settings: CloudSettings;
  readonly skus: readonly Sku[];
  private readonly clock: Clock;
  private readonly seed: number | string;
  private readonly fleet: Fleet;
  private book: FaultBook;
  /** Reads so far by what was read: each read draws its own lag. */
  private readonly reads = new Map<string, number>();

  constructor(options: SandboxCloudOptions) {
    this.clock = options.clock;
    this.seed = options.seed;
    this.skus = options.skus ?? defaultSkus;
    this.settings = { ...defaultSettings, ...options.settings };
    this.book = new FaultBook(options.faults ?? []);
    if (new Set(this.skus.map(skuKey)).size < this.skus.length)
      throw new RangeError('two SKUs of one name in one region');
    this.fleet = new Fleet({
      seed: this.seed,
      settings: this.settings,
      machineFaults: (subject) => this.strikeAll('machine', subject),
    });
  }

  /** Catches up with everything due until `toMs` (default: now); going back is ignored. */
  advance(toMs: number = this.clock.now()): void {
    this.fleet.advance(toMs);
  }

  /** Replaces the faults and restarts their counts. */
  setFaults(rules: readonly FaultRule[]): void {
    this.book = new FaultBook(rules);
  }

  get faults(): readonly FaultRule[] {
    return this.book.rules;
  }

  /** Everything that happened, append-only, in order of time. */
  get log(): readonly LogEntry[] {
    this.advance();
    return this.fleet.log;
  }

  /** The vendor's bill: one line for every ended machine that ever cost. */
  get bill(): readonly BillLine[] {
    this.advance();
    return this.fleet.bill;
  }

  // ---- the vendor's API ----

  account(): Answer<{ account: string }> {
    return this.disturbed('account', {}) ?? done({ account: `sandbox-${this.seed}` });
  }

  offers(): Answer<{ offers: CloudOffer[] }> {
    const fault = this.disturbed('offers', {});
    if (fault) return fault;
    const offers = this.skus.map(({ bootMs: _boot, preemptionsPerHour: _losses, ...sku }) => ({
      ...sku,
      stock: this.fleet.left({ ...sku }),
      kind: this.settings.kind,
      billing: this.settings.billing,
    }));
    return done({ offers });
  }

  create(request: CloudCreate): Answer<CloudMachineView> {
    this.advance();
    const sku = this.skus.find((s) => s.name === request.sku && s.region === request.region);
    if (!sku) return refused('invalid_request', `There is no ${request.sku} in ${request.region}.`);
    const subject = { sku: sku.name, region: sku.region, name: request.name, tags: request.tags };
    const fault = this.strike('create', subject);
    const answer = fault && refusalOf(fault);
    if (answer) return this.noted(answer, sku, request);
    if (fault?.kind === 'effect-late') {
      this.fleet.placeLater(this.now + (fault.arg ?? 60_000), sku, request);
      return lostBy(fault);
    }

    const known = fault?.kind === 'duplicate-on-retry' ? undefined : this.fleet.byToken(request);
    if (known && !sameRequest(known.request, request)) {
      return this.noted(refused('conflict', 'This client token belongs to another request.'), sku, request);
    }
    const machine = known ?? this.fleet.place(sku, request, this.now);
    if (typeof machine === 'string') {
      const why =
        machine === 'quota_exceeded' ? 'The account has as many machines as it may.' : `No ${sku.name} is free.`;
      return this.noted(refused(machine, why), sku, request);
    }
    if (fault?.kind === 'double-create') this.fleet.place(sku, request, this.now);
    if (fault?.kind === 'failed-with-resource') {
      return refused('allocation_failed', 'Allocation failed half-way.', { resourceId: machine.id });
    }
    if (fault?.kind === 'answer-lost-after-effect') return lostBy(fault);
    this.advance();
    // The one who asked sees his own machine at once; lag is for reads.
    return done(viewAt(machine, this.now, Infinity) ?? neverHidden(machine));
  }

  get(id: string, { asOfMs }: ReadOptions = {}): Answer<CloudMachineView> {
    this.advance();
    const fault = this.strike('get', { machineId: id, ...this.subjectOf(id) });
    const answer = fault && refusalOf(fault);
    if (answer) return answer;
    const missing = refused('not_found', `There is no machine ${id}.`);
    const machine = this.fleet.machines.get(id);
    if (!machine || fault?.kind === 'get-404-then-200') return missing;
    const stale = fault?.kind === 'get-stale' ? this.now - (fault.arg ?? this.settings.windowMs) : undefined;
    const view = viewAt(machine, asOfMs ?? stale ?? this.now - this.lag(id), this.settings.retentionMs);
    return view ? done(fault?.kind === 'unknown-status-word' ? oddWord(view) : view) : missing;
  }

  /** Machines with that tag ("key=value"; null = all), oldest first, a page at a time; a cursor keeps the instant of the first page. */
  list(tag: string | null, { cursor, asOfMs }: ReadOptions & { readonly cursor?: string } = {}): Answer<CloudPage> {
    this.advance();
    const from = cursor === undefined ? null : /^(\d+)\.(\d+)$/.exec(cursor);
    if (cursor !== undefined && !from) return refused('invalid_request', 'The cursor is not one of ours.');
    const cut = tag?.indexOf('=') ?? -1;
    const fault = this.strike('list', tag && cut > 0 ? { tags: { [tag.slice(0, cut)]: tag.slice(cut + 1) } } : {});
    const answer = fault && refusalOf(fault);
    if (answer) return answer;
    if (fault?.kind === 'list-empty-by-mistake') return done({ items: [], nextCursor: null });

    const stale = fault?.kind === 'list-stale' ? this.now - (fault.arg ?? this.settings.windowMs) : undefined;
    const asOf = from
      ? Number(from[1])
      : Math.max(0, Math.floor(asOfMs ?? stale ?? this.now - this.lag(`list ${tag}`)));
    const shown = this.fleet.inOrder
      .filter((m) => tag === null || hasTag(m.request.tags, tag))
      .flatMap((m) => {
        const view = viewAt(m, asOf, this.settings.retentionMs);
        return view ? [{ seq: m.seq, view }] : [];
      });
    const after = from ? Number(from[2]) : 0;
    let start = shown.findIndex((entry) => entry.seq > after);
    if (start < 0) start = shown.length;
    if (fault?.kind === 'list-repeats' && start > 0) start -= 1;
    let page = shown.slice(start, start + this.settings.pageSize);
    const last = page.at(-1);
    let nextCursor = last && start + page.length < shown.length ? `${asOf}.${last.seq}` : null;
    if (fault?.kind === 'list-truncated') {
      page = page.slice(0, Math.floor(page.length / 2));
      nextCursor = null;
    }
    const odd = fault?.kind === 'unknown-status-word';
    return done({ items: page.map(({ view }) => (odd ? oddWord(view) : view)), nextCursor });
  }

  /** Starts the end of a machine; of an ended one it is a success without effect. Answers the id. */
  terminate(id: string): Answer<{ id: string }> {
    this.advance();
    const fault = this.strike('terminate', { machineId: id, ...this.subjectOf(id) });
    const answer = fault && refusalOf(fault);
    if (answer) return answer;
    const machine = this.fleet.machines.get(id);
    if (!machine) return refused('not_found', `There is no machine ${id}.`);
    if (fault?.kind === 'terminate-lies') return done({ id });
    this.fleet.stop(machine, this.now);
    return fault?.kind === 'answer-lost-after-effect' ? lostBy(fault) : done({ id });
  }

  // ---- what only the one who runs the cloud can see and do ----

  /** Every machine as it really is, oldest first. */
  machines(): readonly CloudMachine[] {
    this.advance();
    return this.fleet.inOrder;
  }

  machine(id: string): CloudMachine | undefined {
    this.advance();
    return this.fleet.machines.get(id);
  }

  /** True while the machine runs and its agent can speak: the process to start, or the actor to simulate. */
  agentAlive(id: string): boolean {
    const machine = this.machine(id);
    return machine?.state === 'running' && !machine.agentDead;
  }

  /** What the machine would be billed if it ended now; null when it has cost nothing. */
  accrued(id: string): BillLine | null {
    const machine = this.machine(id);
    return machine ? billLine(machine, machine.endedAtMs ?? this.now, this.settings.billing) : null;
  }

  /** When something will happen by itself next; null = nothing ahead. */
  nextChangeAtMs(): number | null {
    this.advance();
    return this.fleet.nextChangeAtMs();
  }

  /** Takes a running machine away after `noticeMs`. False when it is not running. */
  preempt(id: string, noticeMs = 0): boolean {
    const machine = this.machine(id);
    if (machine?.state !== 'running') return false;
    this.fleet.schedule(machine, [
      ...(noticeMs > 0 ? [{ atMs: this.now, to: 'notice' } as const] : []),
      { atMs: this.now + noticeMs, to: 'preempted' },
    ]);
    this.advance();
    return true;
  }

  /** A running machine fails, and the vendor says so. False when it is not running. */
  fail(id: string): boolean {
    const machine = this.machine(id);
    if (machine?.state !== 'running') return false;
    this.fleet.schedule(machine, [{ atMs: this.now, to: 'failed' }]);
    this.advance();
    return true;
  }

  /** The agent dies for good while the vendor goes on saying running. False when the machine is not running. */
  silence(id: string): boolean {
    const machine = this.machine(id);
    if (machine?.state !== 'running') return false;
    this.fleet.schedule(machine, [{ atMs: this.now, to: 'silence' }, ...machine.timeline]);
    this.advance();
    return true;
  }

  private get now(): number {
    return this.fleet.nowMs;
  }

  private lag(what: string): number {
    if (this.settings.windowMs === 0) return 0;
    const n = (this.reads.get(what) ?? 0) + 1;
    this.reads.set(what, n);
    return streamFor(this.seed, `${what}/${n}`, 'lag').int(0, this.settings.windowMs);
  }

  private subjectOf(id: string): FaultSubject {
    const machine = this.fleet.machines.get(id);
    if (!machine) return {};
    const { name, tags } = machine.request;
    return { sku: machine.sku.name, region: machine.sku.region, name, tags };
  }

  private strikeAll(point: FaultPoint, subject: FaultSubject): FaultRule[] {
    const struck = this.book.strike(point, subject);
    for (const fault of struck) this.fleet.note('fault', subject.machineId ?? null, { point, kind: fault.kind });
    return struck;
  }

  private strike(point: FaultPoint, subject: FaultSubject): FaultRule | undefined {
    const [first] = this.book.strike(point, subject);
    if (first) this.fleet.note('fault', subject.machineId ?? null, { point, kind: first.kind });
    return first;
  }

  private disturbed(point: FaultPoint, subject: FaultSubject): Exclude<Answer<never>, { kind: 'done' }> | undefined {
    this.advance();
    const fault = this.strike(point, subject);
    return fault && refusalOf(fault);
  }

  private noted<A extends Answer<CloudMachineView>>(answer: A, sku: Sku, request: CloudCreate): A {
    const code = answer.kind === 'refused' ? answer.refusal.code : answer.kind;
    this.fleet.note('create-refused', null, { sku: sku.name, region: sku.region, name: request.name, code });
    return answer;
  }
}

function sameRequest(a: CloudCreate, b: CloudCreate): boolean {
  const tags = (r: CloudCreate): string => JSON.stringify(Object.entries(r.tags).sort());
  return a.sku === b.sku && a.region === b.region && a.name === b.name && tags(a) === tags(b);
}

function neverHidden(machine: CloudMachine): never {
  throw new Error(`${machine.id} was made in the future`);
}

/** A word no client has heard of; the machine behind it is fine. */
function oddWord(view: CloudMachineView): CloudMachineView {
  return { ...view, status: 'rebalancing' };
}
