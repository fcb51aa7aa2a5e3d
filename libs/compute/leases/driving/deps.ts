import type { Clock, Random } from '#kernel';
import type { Store } from '#platform/database';
import type { Awake, WakeQueue } from '#platform/reconcile';
import type { Agents } from '#compute/agents';
import type { Vendors } from '#compute/providers';
import type { Ledger } from '#money/ledger';
import type { Disputes } from '#money/payouts';
import type { Holds } from '#money/quotas';
import type { Leases } from '../leases.service.js';

export interface LeaseReconcilerDeps {
  readonly store: Store;
  readonly vendors: Vendors;
  readonly leases: Leases;
  readonly agents: Agents;
  readonly holds: Holds;
  readonly ledger: Ledger;
  readonly disputes: Pick<Disputes, 'notice'>;
  readonly wake: WakeQueue;
  readonly clock: Clock;
  readonly random: Random;
  readonly installId: string;
  /** Where rented machines find the broker. */
  readonly brokerUrl: string;
  readonly awake: Awake;
}
