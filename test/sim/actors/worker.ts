import { OrphanSweep } from '#compute/orphans';
import { WORKER } from '#platform/database';
import type { Offer } from '#contracts';
import type { Broker } from '#broker';
import type { History } from '../history.js';
import { Process } from '../process.js';

const SWEEP_MS = 2_000;
const ORPHANS_MS = 20_000;
const OFFERS_MS = 60_000;
const AWAKE_MS = 1_000;

/** One life of a worker: reconcilers on the queue; sweeper, orphan sweep and offer sync on timers of its own, as in apps/worker. */
export class Worker {
  readonly process: Process;
  private readonly broker: Broker;

  constructor(
    private readonly history: History,
    readonly n: number,
  ) {
    const name = `worker${n}`;
    this.process = new Process(history.kernel, name, (p) => history.atStep(p));
    const skewMs = history.strike(`${name}/start`, this.process).find((f) => f.kind === 'skew')?.arg ?? 0;
    const { clock } = history.kernel;
    this.broker = history.compose(this.process, { now: () => clock.now() + skewMs });
    const { loop } = this.broker;
    // Also what the sweeper drives directly counts as what this process does.
    const drive = loop.reconcile.bind(loop);
    loop.reconcile = (kind, id) => this.process.busyWith([id], () => drive(kind, id));
    const { wrong } = history;
    this.every(AWAKE_MS, 'awake', () => this.beat());
    if (wrong.sweeper !== false) this.every(SWEEP_MS, 'sweep', () => loop.sweep());
    if (wrong.orphans !== false) this.every(ORPHANS_MS, 'orphans', () => this.sweepOrphans());
    this.every(this.broker.leaseTimes.renewEveryMs, 'renewals', () => this.broker.renewHolds());
    this.every(OFFERS_MS, 'offers', () => this.syncOffers());
  }

  reconcile(kind: string, id: string): void {
    if (this.process.frozen) this.history.causes.blame([id], 'freeze');
    void this.process
      .point('wake', 1)
      .then(() => this.broker.loop.reconcile(kind, id))
      .catch((error: unknown) => this.history.threw(this.process.name, error));
  }

  private every(ms: number, label: string, work: () => Promise<unknown>): void {
    this.process.every(ms, label, work, (error) => this.history.threw(`${this.process.name} ${label}`, error));
  }

  private async beat(): Promise<void> {
    await this.broker.store.transaction(WORKER, (tx) => tx.now());
    this.broker.awake.beat();
  }

  private sweepOrphans(): Promise<unknown> {
    const { history, broker } = this;
    return new OrphanSweep({
      store: broker.store,
      vendors: broker.vendors,
      installId: history.installId,
      times: broker.leaseTimes,
      report: {
        repaired: (net, _kind, id) => history.repaired(net, id),
        alarm: (message) => history.kernel.note(`ALARM ${message}`),
        doubted: () => history.reached.saw('a list was not believed'),
        kept: (_providerId, machines) => history.kept(machines),
      },
    }).sweep(history.providerId);
  }

  private async syncOffers(): Promise<void> {
    const { history, broker } = this;
    const { port } = broker.vendors.of(history.providerId);
    const offers: Offer[] = [];
    try {
      for await (const offer of port.listOffers()) offers.push(offer);
    } catch (error) {
      history.vendorSaid(error);
      return;
    }
    await broker.store.transaction(WORKER, (tx) => broker.catalog.replace(tx, history.providerId, offers));
  }
}
