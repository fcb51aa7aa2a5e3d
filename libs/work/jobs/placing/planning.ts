import { isDeepStrictEqual } from 'node:util';
import { DomainError, formatUsd, newId, type Clock, type Random } from '#kernel';
import { jobWorkloadSchema, type CreateJob, type Offer, type Workload } from '#contracts';
import { WORKER, type Actor, type Store } from '#platform/database';
import { Artifacts, artifacts, type ArtifactRow } from '#compute/artifacts';
import { agents } from '#compute/agents';
import { burn } from '#compute/leases';
import type { Fallback } from '#market/placement';
import { requireOneMachine, type QuoteRow, type Quotes } from '#work/quotes';
import { mostForTokens, priceOf, type ChargeTerms, type Prices, type TokenTerms } from '#money/rating';
import { atRiskS } from './deadline.js';
import { planBatch, type BatchPlan } from '../intake/batch-input.js';
import { embeddedModels, estimateSeconds, measuredSeconds } from '../intake/models.js';

/** A price for the finished work before anything is rented: the best rentable offer and what it is expected to cost in all. */
export interface Estimator {
  estimate(request: { organizationId: string; projectId: string; workload: Workload; atRiskS: number }): Promise<
    | {
        offer: Offer;
        expectedNano: bigint;
        expectedS: number;
        terms: ChargeTerms;
        /** With a deadline: what may have to finish the work when `offer` is taken away. */
        fallback: Fallback | null;
      }
    | { why: string; hints: readonly string[] }
  >;
}

export interface Submission {
  readonly organizationId: string;
  readonly projectId: string;
  readonly actor: Actor;
  /** The key that submits: its limits count too. */
  readonly keyId?: string;
  readonly request: CreateJob;
}

/** A job that was checked and priced, and is not there yet. */
export interface Planned {
  readonly id: string;
  readonly submission: Submission;
  readonly plan: BatchPlan;
  readonly workload: Workload;
  readonly capNano: bigint;
  /** Null: the machine's time is what is paid. */
  readonly tokenTerms: TokenTerms | null;
  /** Open when it was looked at; taken in the transaction that makes the job. */
  readonly quote: QuoteRow | null;
}

/** What was found for others of the same submission. */
export type Known = Map<string, unknown>;

async function once<T>(known: Known, what: readonly unknown[], find: () => Promise<T>): Promise<T> {
  const key = JSON.stringify(what);
  if (!known.has(key)) known.set(key, await find());
  return known.get(key) as T;
}

type SpecOf<K> = Extract<CreateJob['spec'], { kind: K }>;

/** What a command that says nothing of its length counts as. */
const HOUR_OF_WORK = { kind: 'wall-hours', hours: 1 } as const;
/** A job is never capped below this: the first minutes of any machine. */
const LEAST_CAP_MS = 15 * 60_000;

const BY_TIME = 'Leave billing out to pay for the machine’s time.';

export interface PlanningDeps {
  readonly store: Store;
  readonly artifacts: Artifacts;
  readonly estimator: Estimator;
  readonly prices: Pick<Prices, 'tokenTermsFor'>;
  readonly quotes: Pick<Quotes, 'openFor' | 'take'>;
  readonly clock: Clock;
  readonly random: Random;
}

/** Checks what a job names and prices it; writes nothing. */
export class Planning {
  constructor(private readonly d: PlanningDeps) {}

  /** Throws: invalid (line and field named), unprocessable (nothing fits and no cap given), conflict (its quote does not hold any more). */
  async prepare(given: Submission, known: Known = new Map()): Promise<Planned> {
    const { spec, keepWarmS } = given.request;
    // Of each job by itself: what is known of others does not say whether this one wants its machine kept.
    if (spec.kind === 'batch-inference' && spec.billing === 'tokens' && keepWarmS > 0) throw notKeptWarm();
    requireOneMachine(given.request.workload, 'workload.nodes');
    const quote = await this.quoteOf(given);
    const submission = quote === null ? given : { ...given, request: { ...given.request, workload: quote.workload } };
    const plan =
      spec.kind === 'command'
        ? await this.planCommand(submission, spec, known)
        : await once(known, ['batch', spec], () => this.planBatch(submission, spec));
    const workload = this.workloadOf(submission.request, plan);
    const { maxCost } = submission.request;
    const byTokens =
      spec.kind === 'batch-inference' && spec.billing === 'tokens'
        ? await once(known, ['tokens', spec, workload, maxCost], () => this.byTokens(submission, spec, plan, workload))
        : null;
    const capNano =
      byTokens?.capNano ??
      (await once(known, ['cap', workload, maxCost, quote?.id], () => this.cap(submission, workload, quote)));
    const tokenTerms = byTokens?.terms ?? null;
    return {
      id: newId('job', this.d.clock.now(), this.d.random),
      submission,
      plan,
      workload,
      capNano,
      tokenTerms,
      quote,
    };
  }

  private async quoteOf({ actor, organizationId, projectId, request }: Submission): Promise<QuoteRow | null> {
    const { quoteId, spec, workload } = request;
    if (quoteId === undefined) return null;
    if (spec.kind === 'batch-inference' && spec.billing === 'tokens')
      throw new DomainError(
        'invalid',
        'quote-with-tokens',
        'A quote is a price for time, and this job pays for tokens.',
        {
          field: 'quoteId',
          fix: 'Leave quoteId or billing out.',
        },
      );
    const quote = await this.d.quotes.openFor(actor, { organizationId, projectId, quoteId });
    const said = { ...workload, work: workload.work ?? quote.workload.work };
    if (!isDeepStrictEqual(workload, jobWorkloadSchema.parse({})) && !isDeepStrictEqual(said, quote.workload))
      throw new DomainError('invalid', 'quote-other-work', 'The quote is for another workload.', {
        field: 'workload',
        fix: 'Leave it out: the job takes the workload of its quote. Or ask for a quote for this one.',
      });
    return quote;
  }

  /**
   * What a job holds that is paid by tokens: the most that they can cost. The machine is the broker's expense then, so it must
   * not be expected to cost more than that.
   */
  private async byTokens(
    { organizationId, projectId, request }: Submission,
    spec: SpecOf<'batch-inference'>,
    plan: BatchPlan,
    workload: Workload,
  ): Promise<{ terms: TokenTerms; capNano: bigint }> {
    const terms = await this.d.store.transaction(WORKER, async (tx) =>
      this.d.prices.tokenTermsFor(tx, { organizationId, projectId }, spec.model, await tx.now()),
    );
    if (!terms)
      throw new DomainError('invalid', 'no-token-price', `Tokens of "${spec.model}" have no price.`, {
        field: 'spec.billing',
        fix: BY_TIME,
      });
    const sum = (of: 'inputTokensMost' | 'outputTokensMost'): bigint =>
      plan.slices.reduce((n, slice) => n + BigInt(slice[of]), 0n);
    const most = { input: sum('inputTokensMost'), output: sum('outputTokensMost'), requests: BigInt(plan.lines) };
    const capNano = mostForTokens(terms, spec.model, most);
    if (request.maxCost !== undefined && BigInt(request.maxCost) < capNano)
      throw new DomainError(
        'invalid',
        'cap-below-tokens',
        `The tokens may cost up to ${formatUsd(capNano)}, which is more than maxCost.`,
        { field: 'maxCost', fix: `Give at least that, or set max_tokens on the lines. ${BY_TIME}` },
      );
    const { kind } = spec;
    const estimateOf = (of: Workload): ReturnType<Estimator['estimate']> =>
      this.d.estimator.estimate({ organizationId, projectId, workload: of, atRiskS: atRiskS({ kind, workload: of }) });
    const estimate = await estimateOf(workload);
    if ('why' in estimate) throw nothingFits(estimate);
    // What the tenant says of its work is believed only where it is not less than what its lines were measured to be.
    const seconds = measuredSeconds(spec.model, plan.lines);
    const measured =
      seconds === null ? null : await estimateOf({ ...workload, work: { kind: 'wall-hours', hours: seconds / 3_600 } });
    const byLines = measured === null || 'why' in measured ? 0n : measured.expectedNano;
    const expectedNano = byLines > estimate.expectedNano ? byLines : estimate.expectedNano;
    if (expectedNano > capNano)
      throw new DomainError(
        'unprocessable',
        'tokens-below-machine',
        `The best machine is expected to cost ${formatUsd(expectedNano)}, and the tokens ${formatUsd(capNano)} at most.`,
        { fix: BY_TIME },
      );
    return { terms, capNano };
  }

  private async planCommand(submission: Submission, spec: SpecOf<'command'>, known: Known): Promise<BatchPlan> {
    for (const [i, { artifactId }] of spec.inputs.entries()) {
      const row = await once(known, ['file', artifactId], () => this.input(submission, artifactId));
      if (!row)
        throw new DomainError('invalid', 'unknown-artifact', `There is no artifact ${artifactId} here.`, {
          field: `spec.inputs.${i}.artifactId`,
          fix: 'Upload the file to the project of the job first (POST /v1/artifacts).',
        });
    }
    return {
      lines: 1,
      slices: [{ lineFrom: 0, lineTo: 1, byteFrom: 0, byteTo: 0, inputTokensMost: 0, outputTokensMost: 0 }],
      characters: 0,
    };
  }

  private async planBatch(submission: Submission, spec: SpecOf<'batch-inference'>): Promise<BatchPlan> {
    const { inputArtifactId, model, linesPerShard } = spec;
    if (!(await this.modelExists(model))) {
      throw new DomainError('invalid', 'unknown-model', `No machine serves a model "${model}".`, {
        field: 'spec.model',
        fix: `Models served now: ${embeddedModels.map((m) => m.id).join(', ')}, and those of registered hosts.`,
      });
    }
    const artifact = await this.input(submission, inputArtifactId);
    if (!artifact)
      throw new DomainError('invalid', 'unknown-artifact', `There is no artifact ${inputArtifactId} here.`, {
        field: 'spec.inputArtifactId',
        fix: 'Upload the JSONL to the project of the job first (POST /v1/artifacts).',
      });
    return planBatch(await this.d.artifacts.bytes(artifact), model, linesPerShard);
  }

  /** A file of the job's own project: its agents and every reader of its results will see the content. */
  private input({ actor, organizationId, projectId }: Submission, id: string): Promise<ArtifactRow | null> {
    return this.d.store.transaction(actor, (tx) =>
      tx.first(artifacts, { id, organizationId, projectId, deletedAt: { isNull: true } }),
    );
  }

  private async modelExists(model: string): Promise<boolean> {
    if (embeddedModels.some((m) => m.id === model)) return true;
    const enrolled = await this.d.store.transaction(WORKER, (tx) =>
      tx.find(agents, { kind: 'host', state: 'enrolled' }, { limit: 5_000 }),
    );
    return enrolled.some((a) => a.facts?.engines.includes(`embedded/${model}`) ?? false);
  }

  /** A batch that says nothing of its size is estimated from its lines. */
  private workloadOf(request: CreateJob, plan: BatchPlan): Workload {
    const { spec, workload } = request;
    const { work } = workload;
    if (work) return { ...workload, work };
    if (spec.kind === 'command') return { ...workload, work: HOUR_OF_WORK };
    const seconds = Math.max(1, estimateSeconds(spec.model, plan.lines));
    return {
      ...workload,
      work: { kind: 'wall-hours', hours: seconds / 3_600 },
      checkpointS: Math.max(1, seconds / plan.slices.length),
    };
  }

  /** The hold of a job: what the tenant allows, or three times what the best offer is expected to cost. */
  private async cap(
    { organizationId, projectId, request }: Submission,
    workload: Workload,
    quoted: QuoteRow | null,
  ): Promise<bigint> {
    if (request.maxCost !== undefined) {
      const cap = BigInt(request.maxCost);
      if (cap <= 0n)
        throw new DomainError('invalid', 'cap-not-positive', 'maxCost must be more than zero.', {
          field: 'maxCost',
          fix: 'Leave it out to let Berth estimate.',
        });
      return cap;
    }
    const estimate = await this.d.estimator.estimate({
      organizationId,
      projectId,
      workload,
      atRiskS: atRiskS({ kind: request.spec.kind, workload }),
    });
    if ('why' in estimate) {
      if (quoted === null) throw nothingFits(estimate);
      return atLeast(quoted.chargePerHour, threeTimes(quoted.chargePerHour, quoted.expectedS));
    }
    // The first machine has the quoted price, and any after it the market's.
    const market = priceOf(estimate.offer.pricePerHour, estimate.terms);
    const rate = quoted !== null && quoted.chargePerHour > market ? quoted.chargePerHour : market;
    const { fallback } = estimate;
    // A job that is moved for its deadline pays for both machines.
    const moved = fallback
      ? burn(
          priceOf(fallback.offer.pricePerHour, estimate.terms),
          Math.ceil((fallback.startS + fallback.workS) * 1_000),
        )
      : 0n;
    return atLeast(rate, threeTimes(rate, Math.max(estimate.expectedS, quoted?.expectedS ?? 0)) + moved);
  }
}

const threeTimes = (rate: bigint, expectedS: number): bigint => burn(rate, Math.ceil(expectedS * 1_000) * 3);

function atLeast(rate: bigint, wanted: bigint): bigint {
  const least = burn(rate, LEAST_CAP_MS);
  return wanted > least ? wanted : least;
}

function nothingFits({ why, hints }: { readonly why: string; readonly hints: readonly string[] }): DomainError {
  return new DomainError('unprocessable', 'nothing-fits', `Nothing that can be rented now fits: ${why}.`, {
    fix: [...hints, 'Give maxCost to queue the job until capacity appears.'].join(' '),
    retryable: true,
  });
}

function notKeptWarm(): DomainError {
  return new DomainError('invalid', 'not-kept-warm', 'A machine that is paid by tokens is not kept warm.', {
    field: 'keepWarmS',
    fix: `Leave keepWarmS out. ${BY_TIME}`,
  });
}
