/** How the outside should treat a failure; the API maps each to one HTTP status, the CLI to one exit code. */
export type ErrorKind =
  | 'invalid' // 400: the request is wrong; `field` says where
  | 'unauthenticated' // 401
  | 'payment-required' // 402: over credit or budget
  | 'forbidden' // 403
  | 'not-found' // 404
  | 'conflict' // 409
  | 'too-large' // 413
  | 'unprocessable' // 422: well formed, cannot be done (nothing fits)
  | 'rate-limited' // 429
  | 'unavailable'; // 503

export interface ErrorDetails {
  /** Path of the wrong field ("workload.gpus.count") or line ("line 17"). */
  readonly field?: string;
  /** One sentence that says what to do. */
  readonly fix?: string;
  readonly retryable?: boolean;
  readonly retryAfterMs?: number;
  /** Extra facts for the caller, already safe to show. */
  readonly facts?: Readonly<Record<string, string | number | boolean>>;
  /** More than one wrong field. */
  readonly problems?: readonly { field: string; message: string }[];
}

/** An expected failure with a stable `code` (kebab-case). Anything else that is thrown is a bug and shows as a 500. */
export class DomainError extends Error {
  constructor(
    readonly kind: ErrorKind,
    readonly code: string,
    message: string,
    readonly details: ErrorDetails = {},
  ) {
    super(message);
    this.name = 'DomainError';
  }
}

export function notFound(what: string, id: string): DomainError {
  return new DomainError('not-found', 'not-found', `There is no ${what} ${id} here.`, {
    fix: `Check the id; list yours to see what exists.`,
  });
}

/** Thrown by a guarded update that met zero rows: somebody else moved the row first. Reconcilers reload and try again. */
export class StaleVersion extends Error {
  constructor(kind: string, id: string) {
    super(`${kind} ${id} was changed by somebody else`);
    this.name = 'StaleVersion';
  }
}
