import { setTimeout as pause } from 'node:timers/promises';
import { DomainError, newId, systemClock, systemRandom, usd } from '#kernel';
import { WORKER, type Actor, type Store } from '#platform/database';
import { organizations, projects } from '#identity/tenancy';
import { Ledger } from '#money/ledger';
import { Quotas } from '#money/quotas';

export interface EntitlementContext {
  readonly store: Store;
  readonly quick?: boolean;
}

export interface EntitlementResult {
  readonly entitlementP50Ms: number;
  readonly entitlementP99Ms: number;
  /** Checks that said yes after the limit that forbids them had been committed: none. */
  readonly stale: number;
}

const PER_SECOND = 500;
const ORGANIZATIONS = 50;

/**
 * 500 checks a second, each of them a count against two limits in the database (requests and tokens of the project), arriving evenly; a
 * check's time runs from when it was due. Half way all limits are set to zero: from then on every check must say no.
 */
export async function run({ store, quick = false }: EntitlementContext): Promise<EntitlementResult> {
  const quotas = new Quotas(systemClock, systemRandom);
  const ledger = new Ledger(systemClock, systemRandom);
  const who = await Promise.all(
    Array.from({ length: ORGANIZATIONS }, async () => {
      const [organizationId, projectId, createdAt] = [newId('organization'), newId('project'), systemClock.now()];
      await store.transaction(WORKER, async (tx) => {
        await tx.insert(organizations, { id: organizationId, name: 'b', kind: 'tenant', state: 'active', createdAt });
        await tx.insert(projects, { id: projectId, organizationId, name: 'default', createdAt });
        await ledger.credit(tx, organizationId, usd('10'), 'grant', `bench:${organizationId}`);
      });
      const actor: Actor = { as: 'tenant', organizationId, projectIds: [projectId] };
      return { organizationId, projectId, actor };
    }),
  );
  const limit = (limitN: bigint): Promise<unknown> =>
    Promise.all(
      who.flatMap(({ actor: _, ...of }) =>
        (['requests', 'tokens'] as const).map((dimension) =>
          store.transaction(WORKER, (tx) =>
            quotas.set(tx, {
              ...of,
              scope: 'project',
              scopeId: of.projectId,
              dimension,
              per: 'minute',
              limitN,
              mode: 'hard',
              policy: 'keep',
              cohort: null,
              borrowingLimit: null,
              lendingLimit: null,
            }),
          ),
        ),
      ),
    );
  await limit(1_000_000_000n);
  const times: number[] = [];
  let stale = 0;
  let forbidden = false;
  const phase = async (seconds: number): Promise<void> => {
    const began = performance.now();
    const checks: Promise<void>[] = [];
    for (let i = 0; i < seconds * PER_SECOND; i++) {
      const due = began + (i * 1_000) / PER_SECOND;
      const early = due - performance.now();
      if (early > 1) await pause(early);
      const of = who[i % who.length];
      if (!of) continue;
      checks.push(
        quotas
          .count(store, of.actor, of, { requests: 1n, tokens: 1_000n })
          .then(
            () => void (stale += forbidden ? 1 : 0),
            (error: unknown) => {
              // Anything but a no in its time would pass for an answer.
              if (!forbidden || !(error instanceof DomainError) || error.code !== 'quota-exceeded') throw error;
            },
          )
          .then(() => void times.push(performance.now() - due)),
      );
    }
    await Promise.all(checks);
  };
  await phase(1);
  times.length = 0;
  await phase(quick ? 2 : 8);
  await limit(0n);
  forbidden = true;
  await phase(quick ? 1 : 4);
  times.sort((a, b) => a - b);
  const at = (share: number): number => Math.round((times[Math.floor(times.length * share)] ?? 0) * 100) / 100;
  return { entitlementP50Ms: at(0.5), entitlementP99Ms: at(0.99), stale };
}
