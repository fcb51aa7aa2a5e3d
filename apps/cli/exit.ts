import { jsonText, plain } from './text.js';

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

/** After Ctrl-C, as shells count it. */
export const INTERRUPTED = 130;

/** The command line itself is wrong. */
export class UsageError extends Error {}

/** A command that ends with a code of its own; `message` is told on standard error, its first line says what is wrong. */
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
  if (problem.code === 'idempotency-key-reused') return EXIT.conflict;
  switch (problem.status) {
    case 401:
    case 402:
    case 403:
      return EXIT.notAllowed;
    case 404:
      return EXIT.notFound;
    case 409:
      return EXIT.conflict;
    case 408:
    case 429:
      return EXIT.retryLater;
    default:
      return problem.status >= 500 ? EXIT.retryLater : EXIT.usage;
  }
}

/** What to do, in the words of this command, where the API speaks of headers and fields. */
const OWN_FIXES: Readonly<Record<string, string>> = {
  'invalid-body': 'Correct it; /docs of the broker describes every field.',
  'invalid-query': 'Correct it; --help tells what there is.',
  'project-ambiguous': 'Say which one with --project; `berth projects ls` lists them.',
  'invalid-key': 'Log in with a key of this broker: berth login --url URL --key-stdin',
};

/** What else can go wrong, each as an exit code and lines of which the first says what is wrong. */
function ownFailure(error: unknown): { code: ExitCode; text: string } {
  if (error instanceof UsageError) return { code: EXIT.usage, text: error.message };
  if (error instanceof Ended) return { code: error.code, text: error.message };
  if (error instanceof Error && error.name === 'BrokerUnreachable') {
    const fix = '\n  Start one with `berth up`, or log in to another with `berth login --url URL --key-stdin`.';
    return { code: EXIT.retryLater, text: error.message + fix };
  }
  return { code: EXIT.failed, text: error instanceof Error ? error.message : String(error) };
}

/** The exit code of a failure and what to tell: the problem, what to do about it, and how to name it to support. */
export function exitOf(error: unknown, json: boolean): { code: ExitCode; text: string } {
  const problem = problemOf(error);
  if (problem) {
    const code = codeOfProblem(problem);
    if (json) return { code, text: jsonText(problem) };
    const places = (problem.problems ?? []).map((p) => `  ${p.field}: ${p.message}`);
    const field = problem.field !== undefined && places.length === 0 ? ` (${problem.field})` : '';
    const fix = OWN_FIXES[problem.code] ?? problem.fix;
    const lines = [
      `berth: ${problem.detail}${field}`,
      // A single one is what the first line says.
      ...(places.length > 1 ? places : []),
      ...(fix ? [`  ${fix}`] : []),
      `  request ${problem.requestId}`,
    ];
    return { code, text: lines.join('\n') };
  }
  const { code, text } = ownFailure(error);
  return { code, text: json ? ownProblem(code, text) : `berth: ${text}` };
}

/** A failure that no broker answered, in the fields of a problem document. */
export function ownProblem(exit: ExitCode, text: string): string {
  const [detail = '', ...rest] = text.split('\n').map((line) => line.trim());
  const name = Object.entries(EXIT).find(([, code]) => code === exit)?.[0] ?? 'failed';
  const code = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return jsonText({ type: 'about:blank', code, detail, ...(rest.length > 0 ? { fix: rest.join(' ') } : {}) });
}

/** Talk goes to standard error, without anything that a terminal would obey. */
export function tell(text: string): void {
  process.stderr.write(`${text.split('\n').map(plain).join('\n')}\n`);
}
