import type { z } from 'zod';
import { HttpException } from '@nestjs/common';
import { DomainError, StaleVersion, type ErrorKind } from '#kernel';
import type { Problem } from '#contracts';
import { UniqueViolation } from '#platform/database';

const STATUS: Readonly<Record<ErrorKind, number>> = {
  invalid: 400,
  unauthenticated: 401,
  'payment-required': 402,
  forbidden: 403,
  'not-found': 404,
  conflict: 409,
  'too-large': 413,
  unprocessable: 422,
  'rate-limited': 429,
  unavailable: 503,
};

const TITLE: Readonly<Record<number, string>> = {
  400: 'The request is wrong',
  401: 'Not authenticated',
  402: 'Payment required',
  403: 'Not allowed',
  404: 'Not found',
  405: 'Method not allowed',
  408: 'The request took too long to arrive',
  409: 'Conflict',
  413: 'Too large',
  414: 'The address is too long',
  415: 'Unsupported media type',
  422: 'Cannot be done',
  429: 'Too many requests',
  500: 'Internal error',
  503: 'Not available now',
};

/** An answer that is a problem (RFC 9457), ready to be sent. */
export interface ProblemAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Problem;
  /** True when the failure is ours: it must be logged with what was thrown. */
  readonly unexpected: boolean;
}

/** A failure of HTTP itself that has no kind of its own in the domain. */
export class HttpProblem extends DomainError {
  constructor(
    readonly status: number,
    code: string,
    message: string,
    details: DomainError['details'] & { readonly headers?: Readonly<Record<string, string>> } = {},
  ) {
    super('invalid', code, message, details);
    this.headers = details.headers ?? {};
  }
  readonly headers: Readonly<Record<string, string>>;
}

/** What the outside sees of anything that was thrown: everything of an expected failure, nothing of a bug. */
export function problemOf(thrown: unknown, requestId: string): ProblemAnswer {
  const error = expected(thrown);
  if (!error) {
    return answer(500, 'internal', 'Something went wrong here; it is logged under the request id.', requestId, {
      details: { fix: 'Try again later; if it stays, tell the operator the request id.', retryable: true },
      unexpected: true,
    });
  }
  const status = error instanceof HttpProblem ? error.status : STATUS[error.kind];
  const headers: Record<string, string> = error instanceof HttpProblem ? { ...error.headers } : {};
  if (status === 401) headers['www-authenticate'] = 'Bearer realm="berth"';
  if (error.details.retryAfterMs !== undefined) {
    headers['retry-after'] = String(Math.max(1, Math.ceil(error.details.retryAfterMs / 1_000)));
  }
  return answer(status, error.code, error.message, requestId, { details: error.details, headers });
}

function answer(
  status: number,
  code: string,
  detail: string,
  requestId: string,
  more: { details: DomainError['details']; headers?: Record<string, string>; unexpected?: boolean },
): ProblemAnswer {
  const { field, problems, fix, retryable, facts } = more.details;
  return {
    status,
    headers: more.headers ?? {},
    unexpected: more.unexpected ?? false,
    body: {
      type: `urn:berth:problem:${code}`,
      title: TITLE[status] ?? 'Failed',
      status,
      detail,
      code,
      ...(field === undefined ? {} : { field }),
      ...(problems === undefined ? {} : { problems: problems.map((p) => ({ ...p })) }),
      ...(fix === undefined ? {} : { fix }),
      retryable: retryable ?? (status === 429 || status === 503),
      ...(facts === undefined ? {} : { facts: { ...facts } }),
      requestId,
    },
  };
}

/** The domain's word for what was thrown, or null when nobody foresaw it. */
function expected(thrown: unknown): DomainError | null {
  if (thrown instanceof DomainError) return thrown;
  if (thrown instanceof UniqueViolation) {
    return new DomainError('conflict', 'exists-already', 'Something with this name or key exists already.', {
      fix: 'Choose another name, or use the one that is there.',
    });
  }
  if (thrown instanceof StaleVersion) {
    return new DomainError('conflict', 'changed-meanwhile', 'It was changed by somebody else meanwhile.', {
      fix: 'Read it again and repeat the request.',
      retryable: true,
    });
  }
  if (isConnectionFailure(thrown)) {
    return new DomainError('unavailable', 'database-unavailable', 'The database cannot be reached now.', {
      fix: 'Try again in a few seconds.',
      retryAfterMs: 2_000,
    });
  }
  if (isUnkeptText(thrown)) {
    return new DomainError(
      'invalid',
      'unkept-text',
      'A text has a character that cannot be kept: NUL, or half of a pair.',
      {
        fix: 'Send the texts of the request without it.',
      },
    );
  }
  const framework = frameworkFailure(thrown);
  return framework === null ? null : new HttpProblem(framework.status, framework.code, framework.message);
}

/** Failures of Fastify and Nest below the handlers; their own texts are for developers and are not passed on. */
function frameworkFailure(thrown: unknown): { status: number; code: string; message: string } | null {
  const status =
    thrown instanceof HttpException
      ? thrown.getStatus()
      : thrown instanceof Error && 'statusCode' in thrown && typeof thrown.statusCode === 'number'
        ? thrown.statusCode
        : 500;
  switch (status) {
    case 400:
      return { status, code: 'invalid-request', message: 'The request cannot be read.' };
    case 404:
      return { status, code: 'no-such-route', message: 'There is nothing at this address.' };
    case 408:
      return { status, code: 'request-timeout', message: 'The request took too long to arrive.' };
    case 413:
      return { status, code: 'body-too-large', message: 'The body is larger than this route takes.' };
    case 414:
      return { status, code: 'address-too-long', message: 'A part of the address is too long.' };
    case 415:
      return { status, code: 'unsupported-media-type', message: 'Send JSON as application/json.' };
    case 503:
      return { status, code: 'shutting-down', message: 'This process is shutting down.' };
    default:
      return null;
  }
}

/** SQL states 08 (connection), 53 (resources), 57P (shutdown), and what the socket says. */
function isConnectionFailure(thrown: unknown): boolean {
  return (
    failureIs(thrown, ({ code }) => /^(08...|53...|57P0.|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EPIPE)$/.test(code)) ||
    (thrown instanceof Error && /^(Connection terminated|timeout exceeded when trying to connect)/.test(thrown.message))
  );
}

/** What PostgreSQL says of NUL in text and in JSON, and of half a pair in JSON: schemas of free text let them through. */
function isUnkeptText(thrown: unknown): boolean {
  return failureIs(
    thrown,
    ({ code, message }) => code === '22021' || code === '22P05' || (code === '22P02' && /type json/.test(message)),
  );
}

/** Whether that is so of the failure, or of that of the driver inside it. */
function failureIs(thrown: unknown, test: (of: { code: string; message: string }) => boolean): boolean {
  for (let error = thrown, depth = 0; typeof error === 'object' && error !== null && depth < 3; depth++) {
    const { code, message, driverError } = error as { code?: unknown; message?: unknown; driverError?: unknown };
    if (typeof code === 'string' && test({ code, message: typeof message === 'string' ? message : '' })) return true;
    error = driverError;
  }
  return false;
}

/** All that a schema found wrong, each with its path: `workload.accelerator.count`. */
export function invalidInput(where: 'body' | 'query', issues: readonly z.core.$ZodIssue[]): DomainError {
  const problems = issues
    .slice(0, 50)
    .flatMap((issue) => describeIssue(issue))
    .slice(0, 50);
  const [first = { field: '', message: 'is not valid' }] = problems;
  const at = first.field === '' ? `The ${where}` : `"${first.field}"`;
  const others = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
  return new DomainError(
    'invalid',
    where === 'body' ? 'invalid-body' : 'invalid-query',
    `${at}: ${first.message}${others}${/[.?]$/.test(first.message) && others === '' ? '' : '.'}`,
    {
      ...(first.field === '' ? {} : { field: first.field }),
      problems,
      fix: 'Correct the fields named in `problems`; /docs describes each one.',
    },
  );
}

function describeIssue(issue: z.core.$ZodIssue): { field: string; message: string }[] {
  const field = pathText(issue.path);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      field: field === '' ? key : `${field}.${key}`,
      message: 'is not a known field',
    }));
  }
  if (issue.code === 'invalid_union') {
    const [branch] = [...issue.errors].sort((a, b) => depthOf(b) - depthOf(a));
    const deeper = (branch ?? []).map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }));
    if (deeper.length > 0 && depthOf(branch ?? []) > 0) return deeper.flatMap((inner) => describeIssue(inner));
  }
  return [{ field, message: issue.message }];
}

/** The branch of a union that got furthest is the one that was meant. */
function depthOf(issues: readonly z.core.$ZodIssue[]): number {
  return Math.max(0, ...issues.map((issue) => issue.path.length));
}

function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((part, i) => (typeof part === 'number' ? `[${part}]` : `${i === 0 ? '' : '.'}${String(part)}`))
    .join('');
}
