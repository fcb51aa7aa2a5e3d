import { plain } from './text.js';

/** Exit codes of every command. */
export const EXIT = {
  ok: 0,
  /** The work itself failed: a job that ended badly. */
  failed: 1,
  usage: 2,
  notAllowed: 3,
  notFound: 4,
  conflict: 5,
  nothingFits: 6,
  retryLater: 7,
  waitRanOut: 8,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The command line itself is wrong. */
export class UsageError extends Error {}

/** A command that ends with a code of its own; `message` is told on standard error. */
export class Ended extends Error {
  constructor(
    readonly code: ExitCode,
    message: string,
  ) {
    super(message);
  }
}

interface ProblemLike {
  readonly code: string;
  readonly detail: string;
  readonly status: number;
  readonly field?: string;
  readonly fix?: string;
  readonly requestId: string;
  readonly problems?: readonly { readonly field: string; readonly message: string }[];
}

function problemOf(error: unknown): ProblemLike | null {
  if (typeof error !== 'object' || error === null || !('problem' in error)) return null;
  return error.problem as ProblemLike;
}

export function codeOfProblem(problem: Pick<ProblemLike, 'status' | 'code'>): ExitCode {
  if (problem.code === 'nothing-fits') return EXIT.nothingFits;
  switch (problem.status) {
    case 401:
    case 402:
    case 403:
      return EXIT.notAllowed;
    case 404:
      return EXIT.notFound;
    case 409:
      return EXIT.conflict;
    case 429:
    case 502:
    case 503:
    case 504:
      return EXIT.retryLater;
    default:
      return problem.status >= 500 ? EXIT.retryLater : EXIT.usage;
  }
}

/** The exit code of a failure and what to tell: the problem, what to do about it, and how to name it to support. */
export function exitOf(error: unknown, json: boolean): { code: ExitCode; text: string } {
  const problem = problemOf(error);
  if (problem) {
    const code = codeOfProblem(problem);
    if (json) return { code, text: JSON.stringify(problem) };
    const places = (problem.problems ?? []).map((p) => `  ${p.field}: ${p.message}`);
    const field = problem.field !== undefined && places.length === 0 ? ` (${problem.field})` : '';
    const lines = [
      `berth: ${problem.detail}${field}`,
      ...places,
      ...(problem.fix ? [`  ${problem.fix}`] : []),
      `  request ${problem.requestId}`,
    ];
    return { code, text: lines.join('\n') };
  }
  if (error instanceof UsageError) return { code: EXIT.usage, text: `berth: ${error.message}` };
  if (error instanceof Ended) return { code: error.code, text: `berth: ${error.message}` };
  if (error instanceof Error && error.name === 'BrokerUnreachable') {
    return {
      code: EXIT.retryLater,
      text: `berth: ${error.message}\n  Start one with \`berth up\`, or log in to another with \`berth login --url URL\`.`,
    };
  }
  return { code: EXIT.failed, text: `berth: ${error instanceof Error ? error.message : String(error)}` };
}

/** Talk goes to standard error, without anything that a terminal would obey. */
export function tell(text: string): void {
  process.stderr.write(`${text.split('\n').map(plain).join('\n')}\n`);
}
