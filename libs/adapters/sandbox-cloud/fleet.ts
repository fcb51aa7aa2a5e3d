import { billLine, type BillLine } from './bill.js';
import type { FaultRule, FaultSubject } from './fault.js';
import { announcedLoss, cloudMachine, machineId, planTimeline, type Change, type CloudMachine } from './machine.js';
import { skuKey, type CloudSettings, type Sku } from './sku.js';
import type { CloudCreate } from './wire.js';

export interface LogEntry {
  readonly n: number;
  readonly atMs: number;
  readonly event:
    'created' | 'create-refused' | 'late-create-dropped' | 'state' | 'notice' | 'silence' | 'fault' | 'billed';
  readonly machineId: string | null;
  readonly facts: Readonly<Record<string, string | number>>;
}

interface FleetOptions {
  readonly seed: number | string;
  readonly settings: CloudSettings;
  readonly machineFaults: (subject: FaultSubject) => readonly FaultRule[];
}

/**
 * The machines, their stock, log and bill. Time moves only through `advance`; whatever is due happens in the order
 * (instant, age of the machine), so the log does not depend on how often somebody looks.
 */
export class Fleet {
  readonly machines = new Map<string, CloudMachine>();
  readonly inOrder: CloudMachine[] = [];
  readonly log: LogEntry[] = [];
  readonly bill: BillLine[] = [];
  nowMs = 0;
  private readonly live = new Set<CloudMachine>();
  private readonly tokens = new Map<string, CloudMachine>();
  private readonly names = new Map<string, number>();
  private late: { atMs: number; sku: Sku; request: CloudCreate }[] = [];

  constructor(private readonly options: FleetOptions) {}

  note(event: LogEntry['event'], id: string | null, facts: LogEntry['facts'] = {}): void {
    this.log.push({ n: this.log.length + 1, atMs: this.nowMs, event, machineId: id, facts });
  }

  left(sku: Pick<Sku, 'name' | 'region' | 'stock'>): number | null {
    if (sku.stock === null) return null;
    let taken = 0;
    for (const machine of this.live) if (skuKey(machine.sku) === skuKey(sku)) taken += 1;
    return sku.stock - taken;
  }

  byToken({ clientToken }: CloudCreate): CloudMachine | undefined {
    return this.options.settings.clientTokens && clientToken !== null ? this.tokens.get(clientToken) : undefined;
  }

  /** Makes a machine, or says what stands against it. */
  place(sku: Sku, request: CloudCreate, atMs: number): CloudMachine | 'quota_exceeded' | 'insufficient_capacity' {
    const { seed, settings } = this.options;
    if (settings.quotaMachines !== null && this.live.size >= settings.quotaMachines) return 'quota_exceeded';
    if (this.left(sku) === 0) return 'insufficient_capacity';
    let nth = this.names.get(request.name) ?? 0;
    let id = machineId(seed, request.name, nth);
    while (this.machines.has(id)) id = machineId(seed, request.name, ++nth);
    this.names.set(request.name, nth + 1);

    const seq = this.inOrder.length + 1;
    const base = { id, seq, sku, request, createdAtMs: atMs };
    const machine: CloudMachine = {
      ...base,
      state: cloudMachine.initial,
      history: [{ atMs, state: cloudMachine.initial }],
      timeline: [],
      billedFromMs: null,
      endedAtMs: null,
      interrupt: null,
      agentDead: false,
    };
    this.note('created', id, { sku: sku.name, region: sku.region, name: request.name });
    const subject = { machineId: id, sku: sku.name, region: sku.region, name: request.name, tags: request.tags };
    machine.timeline = planTimeline(base, seed, settings, this.options.machineFaults(subject));
    this.machines.set(id, machine);
    this.inOrder.push(machine);
    this.live.add(machine);
    if (settings.clientTokens && request.clientToken !== null && !this.tokens.has(request.clientToken)) {
      this.tokens.set(request.clientToken, machine);
    }
    return machine;
  }

  /** The effect of a request whose answer is lost comes later: unless its token is taken or nothing is free by then. */
  placeLater(atMs: number, sku: Sku, request: CloudCreate): void {
    this.late.push({ atMs, sku, request });
  }

  /** Ends a machine as its renter asked; of one that is going or gone nothing happens. */
  stop(machine: CloudMachine, atMs: number): void {
    if (!cloudMachine.can(machine.state, 'stopping')) return;
    this.enter(machine, 'stopping');
    machine.timeline = [{ atMs: atMs + this.options.settings.stopMs, to: 'terminated' }];
    this.advance(atMs);
  }

  /** Replaces what lies ahead of a machine. */
  schedule(machine: CloudMachine, timeline: Change[]): void {
    machine.timeline = timeline;
  }

  nextChangeAtMs(): number | null {
    let next = Infinity;
    for (const { timeline } of this.live) next = Math.min(next, timeline[0]?.atMs ?? Infinity);
    for (const { atMs } of this.late) next = Math.min(next, atMs);
    return next === Infinity ? null : next;
  }

  advance(toMs: number): void {
    for (let at = this.nextChangeAtMs(); at !== null && at <= toMs; at = this.nextChangeAtMs()) {
      this.nowMs = Math.max(this.nowMs, at);
      this.happen(at);
    }
    this.nowMs = Math.max(this.nowMs, toMs);
  }

  /** One change due at `atMs`: late requests first, then the oldest machine. */
  private happen(atMs: number): void {
    const effect = this.late.find((l) => l.atMs === atMs);
    if (effect) {
      this.late = this.late.filter((l) => l !== effect);
      const taken = this.byToken(effect.request);
      const placed = taken ? 'conflict' : this.place(effect.sku, effect.request, atMs);
      if (typeof placed === 'string')
        this.note('late-create-dropped', null, { name: effect.request.name, code: placed });
      return;
    }
    for (const machine of this.live) {
      const change = machine.timeline[0];
      if (change?.atMs !== atMs) continue;
      machine.timeline.shift();
      this.apply(machine, change);
      return;
    }
  }

  private apply(machine: CloudMachine, change: Change): void {
    if (change.to === 'notice') {
      const loss = announcedLoss(machine);
      if (loss === null) return;
      machine.interrupt = { noticedAtMs: change.atMs, atMs: loss };
      this.note('notice', machine.id, { takenAtMs: loss });
    } else if (change.to === 'silence') {
      machine.agentDead = true;
      this.note('silence', machine.id);
    } else {
      this.enter(machine, change.to);
    }
  }

  private enter(machine: CloudMachine, state: CloudMachine['state']): void {
    cloudMachine.assert(machine.state, state);
    machine.state = state;
    machine.history.push({ atMs: this.nowMs, state });
    this.note('state', machine.id, { state });
    const { settings } = this.options;
    if (state === settings.billedFrom) machine.billedFromMs = this.nowMs;
    if (!cloudMachine.isTerminal(state)) return;
    machine.endedAtMs = this.nowMs;
    machine.timeline = [];
    this.live.delete(machine);
    const line = billLine(machine, this.nowMs, settings.billing);
    if (!line) return;
    this.bill.push(line);
    this.note('billed', machine.id, { seconds: line.seconds, amount: line.amount.toString() });
  }
}
