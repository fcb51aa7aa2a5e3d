import type { Offer } from './offer.js';

/** States of a machine at a vendor, in our words; unknown vendor words map to `unknown` and are tolerated. */
export const machineStates = [
  'pending',
  'provisioning',
  'running',
  'stopping',
  'terminated',
  'failed',
  'preempted',
  'unknown',
] as const;
export type MachineState = (typeof machineStates)[number];

/** The closed set of vendor failures and how far each reaches, so that failure memory blocks the right thing. */
export const vendorErrorKinds = [
  'no-capacity',
  'quota-exceeded',
  'invalid-request',
  'unauthorized',
  'payment-required',
  'rate-limited',
  'not-found',
  'conflict',
  'transient',
  'outcome-unknown',
] as const;
export type VendorErrorKind = (typeof vendorErrorKinds)[number];
export type VendorErrorScope = 'offer' | 'zone' | 'region' | 'account';

/** However long a vendor wants to be left alone: leases, jobs and lists of offers wait for it no longer than this at a time. */
export const RETRY_AFTER_MOST_MS = 60 * 60_000;

export class VendorError extends Error {
  /** As the vendor asks, an hour at most; null where it says nothing that is a time. */
  readonly retryAfterMs: number | null;

  constructor(
    readonly kind: VendorErrorKind,
    readonly scope: VendorErrorScope,
    message: string,
    retryAfterMs: number | null = null,
  ) {
    super(message);
    this.name = 'VendorError';
    this.retryAfterMs = retryAfterMs !== null && retryAfterMs >= 0 ? Math.min(retryAfterMs, RETRY_AFTER_MOST_MS) : null;
  }
}

/** A machine as the vendor tells it. */
export interface VendorMachine {
  readonly vendorId: string;
  readonly state: MachineState;
  /** Our tags, as given at create. */
  readonly installId: string | null;
  readonly leaseId: string | null;
  readonly attemptId: string | null;
  readonly createdAtMs: number | null;
  /** From when the vendor bills; null = not yet. */
  readonly billedFromMs: number | null;
  readonly address: string | null;
  /** Time at which the vendor will take the machine away; null = no notice. */
  readonly interruptAtMs: number | null;
}

export interface CreateRequest {
  readonly offer: Offer;
  readonly installId: string;
  readonly leaseId: string;
  readonly attemptId: string;
  /** Client token where the vendor has one, else part of the name. Same value = same machine. */
  readonly idempotencyKey: string;
  /** What the machine runs at first boot: starts the agent with a one-time token. */
  readonly bootstrap: { readonly brokerUrl: string; readonly enrolToken: string };
  /** Never send the request after this instant by the sending process's own clock, and give up waiting at `deadlineMs` after sending. */
  readonly sendBeforeMs: number;
  readonly deadlineMs: number;
}

/** What `create` can answer. `failed` may leave a machine behind: then `vendorId` names it and it must be terminated. */
export type CreateOutcome =
  | { readonly kind: 'created'; readonly machine: VendorMachine }
  | { readonly kind: 'failed'; readonly error: VendorError; readonly vendorId: string | null }
  | { readonly kind: 'unknown'; readonly reason: string };

export interface ProviderDescription {
  readonly name: string;
  /** Same idempotency key gives the same machine: a take-over may re-send. */
  readonly clientTokens: boolean;
  /** `list` and `get` may lag behind by up to this long. */
  readonly consistencyWindowMs: number;
  /** True when terminating is final at once. */
  readonly synchronousTerminate: boolean;
  /** Vendor bills failed boots. */
  readonly billing: { readonly minimumS: number; readonly incrementS: number };
}

/**
 * The port every vendor is reached through. Adapters rent machines; they never run work.
 * Methods throw VendorError (closed set) except `create`, which answers an outcome and never throws.
 */
export interface ProviderPort {
  describe(): ProviderDescription;
  /** What can be rented now. An adapter that can leaves off when `signal` aborts; nobody waits for it any longer then. */
  listOffers(options?: { readonly signal?: AbortSignal }): AsyncIterable<Offer>;
  create(request: CreateRequest): Promise<CreateOutcome>;
  /** null when the vendor does not know the id. */
  get(vendorId: string): Promise<VendorMachine | null>;
  /** Every machine tagged with this install, ended ones included while the vendor still lists them. */
  list(installId: string): AsyncIterable<VendorMachine>;
  /** Idempotent and re-callable; success when the machine is gone or going. */
  terminate(vendorId: string): Promise<void>;
  /** Credentials and permissions; throws VendorError with what is missing. */
  probe(): Promise<void>;
}
