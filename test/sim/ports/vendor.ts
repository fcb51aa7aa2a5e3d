import type { Clock } from '#kernel';
import type { CreateOutcome, CreateRequest, Offer, ProviderPort, VendorMachine } from '#contracts';
import { sandboxPort, type CloudCreate, type SandboxCloud } from '#adapters/sandbox-cloud';
import { leaseAttempts } from '#compute/leases';
import type { History } from '../history.js';
import { never } from '../kernel.js';
import type { Process } from '../process.js';

type Op = 'create' | 'get' | 'list' | 'terminate' | 'offers';

/**
 * The vendor as one process sees it. A request that has left takes effect whatever becomes of its sender; the answer comes
 * later, if somebody is still there to hear it.
 */
export class SimVendor implements ProviderPort {
  constructor(
    private readonly history: History,
    private readonly process: Process,
    private readonly clock: Clock,
  ) {}

  /** The adapter as it looks at the send budget at `sentAtMs`: what takes effect later was sent then. `onCreate` hears of each create that really leaves. */
  private at(sentAtMs: number, onCreate: () => void = () => undefined): ProviderPort {
    const { cloud } = this.history;
    const create = (request: CloudCreate): ReturnType<SandboxCloud['create']> => {
      onCreate();
      return cloud.create(request);
    };
    // Fields and methods of the cloud itself, but for this one.
    const heard = new Proxy(cloud, {
      get: (target, name) => {
        const value: unknown = name === 'create' ? create : Reflect.get(target, name, target);
        return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value;
      },
    });
    const port = sandboxPort(heard, { providerId: this.history.providerId, clock: { now: () => sentAtMs } });
    return this.history.wrong.port?.(port) ?? port;
  }

  describe(): ReturnType<ProviderPort['describe']> {
    return this.at(this.clock.now()).describe();
  }

  private async call<T>(
    op: Op,
    subjects: readonly string[],
    effect: (port: ProviderPort) => Promise<T>,
    onSend: () => () => void = () => () => undefined,
  ): Promise<T> {
    const { history, process } = this;
    // Invariant 4.
    if (history.openTransactions > 0) history.failures.push(`a call to the vendor (${op}) inside a transaction`);
    return process.busyWith(subjects, async () => {
      const random = history.kernel.random(`${process.name}/vendor`);
      const faults = history.strike(`${process.name}/${op}`, process);
      const arg = (kind: string): number => faults.find((f) => f.kind === kind)?.arg ?? 0;
      const struck = (kind: string): boolean => faults.some((f) => f.kind === kind);
      await process.point(`send ${op}`, 1 + arg('stall-before-send'));
      if (struck('crash-before-send')) {
        history.crash(process);
        return never();
      }
      const port = this.at(this.clock.now(), onSend());
      const answered = new Promise<{ value: T } | { error: unknown }>((resolve) => {
        history.kernel.after(random.int(20, 300) + arg('slow-network'), `vendor ${op}`, () => {
          void effect(port).then(
            (value) => {
              history.readCloudLog(subjects);
              resolve({ value });
            },
            (error: unknown) => {
              history.readCloudLog(subjects);
              resolve({ error });
            },
          );
        });
      });
      if (struck('crash-after-send')) {
        history.crash(process);
        return never();
      }
      const outcome = await process.attend(answered);
      await process.point(`answer ${op}`, random.int(10, 100) + arg('stall-after-answer'));
      if ('error' in outcome) throw outcome.error;
      return outcome.value;
    });
  }

  async create(request: CreateRequest): Promise<CreateOutcome> {
    const sentAtMs = this.history.kernel.clock.now();
    const outcome = await this.call(
      'create',
      [request.attemptId, request.leaseId],
      (port) => port.create(request),
      () => this.sending(request.attemptId),
    );
    // An answer that never comes is known as such when the deadline is over.
    if (outcome.kind === 'unknown')
      await this.process.point('deadline', sentAtMs + request.deadlineMs - this.history.kernel.clock.now());
    return outcome;
  }

  /** A create that leaves although somebody has taken the attempt over: the one thing that makes two machines. */
  private sending(attemptId: string): () => void {
    const { history } = this;
    const attempt = history.store.rows(leaseAttempts).find((a) => a.id === attemptId);
    return () => {
      if (attempt?.state !== 'calling')
        history.failures.push(`a create was sent for attempt ${attemptId}, which was ${attempt?.state ?? 'not there'}`);
    };
  }

  get(vendorId: string): Promise<VendorMachine | null> {
    return this.call('get', [vendorId], (port) => port.get(vendorId));
  }

  async *list(installId: string): AsyncGenerator<VendorMachine> {
    this.history.strike(`${this.process.name}/lists`, this.process);
    yield* await this.call('list', this.history.openAttempts(), async (port) => {
      const machines: VendorMachine[] = [];
      for await (const machine of port.list(installId)) machines.push(machine);
      return this.history.partialList() ? machines.slice(0, 1) : machines;
    });
  }

  async *listOffers(): AsyncGenerator<Offer> {
    yield* await this.call('offers', [], async (port) => {
      const offers: Offer[] = [];
      for await (const offer of port.listOffers()) offers.push(offer);
      return offers;
    });
  }

  terminate(vendorId: string): Promise<void> {
    return this.call('terminate', [vendorId], (port) => port.terminate(vendorId));
  }

  probe(): Promise<void> {
    return this.at(this.clock.now()).probe();
  }
}
