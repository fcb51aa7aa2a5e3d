import type { CreateRequest, Offer, ProviderPort } from '#contracts';

/** Things that go wrong at any vendor, in words that belong to none. */
export const vendorFaults = [
  'no-capacity',
  'quota-exceeded',
  'rate-limited',
  'unauthorized',
  'payment-required',
  'invalid-request',
  /** The vendor says it is down and did nothing. */
  'unavailable',
  /** An error without a statement whether the machine was made. */
  'server-error',
  'failed-with-resource',
  /** Create works and no answer ever comes. */
  'answer-lost-after-effect',
  /** `get` and `list` show a status word nobody has heard of. */
  'unknown-status',
  /** The vendor lists a machine twice, on two pages. */
  'list-repeats',
] as const;
export type VendorFault = (typeof vendorFaults)[number];

/** A vendor's counterpart with our adapter on top, opened afresh for every test. */
export interface ConformanceHarness {
  readonly port: ProviderPort;
  /** Time of the clock that the adapter was given. */
  now(): number;
  /** Lets the vendor's world move on; machines must be running after 10 minutes, and ended 10 minutes after terminate. */
  advance(ms: number): Promise<void>;
  /** The fault strikes from the next call on (create faults at create, the others at get and list); null = none. */
  inject?(fault: VendorFault | null): Promise<void>;
  /** Makes a machine that belongs to nobody's install, past the adapter. Answers its id. */
  createForeign?(): Promise<string>;
  /** An offer that works in every test; default: the first one listed. */
  pick?(offers: readonly Offer[]): Offer;
  close(): Promise<void>;
}

export interface ConformanceAbilities {
  /** Faults that `inject` can make; tests of others are skipped and shown as skipped. */
  readonly faults?: readonly VendorFault[];
  /** Machines per page of the vendor's list, where the harness keeps it small. The suite makes more than that. */
  readonly pageSize?: number;
  readonly foreign?: boolean;
  /** True where everything belongs to the one installation that the port was made for. */
  readonly oneInstall?: boolean;
}

/** Longer than any stall of the machine that runs the specs: only the test of an answer that never comes waits a deadline out. */
const PATIENT_MS = 30_000;

/** A create request for one attempt. */
export function createRequest(
  offer: Offer,
  ids: { readonly install: string; readonly n: number },
  nowMs: number,
): CreateRequest {
  const tail = ids.n
    .toString(36)
    .padStart(6, '0')
    .replace(/[ilou]/g, 'z');
  return {
    offer,
    installId: ids.install,
    leaseId: `lease_${tail.padStart(26, '0')}`,
    attemptId: `att_${tail.padStart(26, '0')}`,
    idempotencyKey: `att_${tail.padStart(26, '0')}`,
    bootstrap: { brokerUrl: 'http://127.0.0.1:9', enrolToken: 'conformance' },
    sendBeforeMs: nowMs + 5_000,
    deadlineMs: PATIENT_MS,
  };
}
