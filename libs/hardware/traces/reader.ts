import { BLOCK_TOKENS, FORMS_TEXT, openForm, type OpenForm, type TraceForm, type TraceRequest } from './forms.js';
import { Tally } from './tally.js';

export const findingKinds = ['nonsense', 'disorder', 'gap'] as const;

/** Something about a line that its owner should know. Nonsense is left out; the rest counts. */
export interface TraceFinding {
  /** From 1, headings and blank lines counted. */
  readonly line: number;
  readonly kind: (typeof findingKinds)[number];
  readonly reason: string;
}

export interface TokenSummary {
  readonly mean: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

export interface TraceNumbers {
  readonly requests: number;
  readonly spanS: number;
  readonly meanPerS: number;
  /** Of the 95th percentile of minutes (ServeGen: of windows), and of the busiest. */
  readonly p95PerS: number;
  readonly peakPerS: number;
  readonly inputTokens: TokenSummary;
  readonly outputTokens: TokenSummary;
  readonly totalTokensP99: number;
  readonly cachedShare: number | null;
}

export interface TraceReport {
  readonly forms: readonly TraceForm[];
  readonly summary: TraceNumbers;
  /** The first of them; `found` tells how many there were. */
  readonly findings: readonly TraceFinding[];
  readonly found: number;
  readonly skipped: number;
}

/** A trace that cannot be used, or with `strict` the first finding. */
export class TraceRefused extends Error {
  constructor(
    readonly line: number | null,
    reason: string,
  ) {
    super(line === null ? reason : `line ${line}: ${reason}`);
    this.name = 'TraceRefused';
  }
}

const KEPT_FINDINGS = 50;
const MINUTE_S = 60;
/** A pause is a gap when it is this long, and this many times the usual pause. */
const GAP_S = 600;
const GAP_TIMES = 50;
/** Length of ServeGen's windows when a file has a single one. */
const WINDOW_S = 600;

/**
 * Reads a trace line by line and keeps counts only, so that a trace of any length takes little memory (prefix blocks
 * aside). A second file, such as the lengths that go with ServeGen's rates, follows after `nextFile`.
 */
export class TraceReader {
  private form: OpenForm | null = null;
  private readonly forms: TraceForm[] = [];
  private line = 0;
  private readonly findings: TraceFinding[] = [];
  private found = 0;
  private skipped = 0;

  private requests = 0;
  private firstS = Infinity;
  private lastS = -Infinity;
  private previousS = -Infinity;
  private readonly minutes = new Map<number, number>();
  private readonly input = new Tally();
  private readonly output = new Tally();
  private readonly total = new Tally();

  private readonly seenBlocks = new Set<number>();
  private blockedRequests = 0;
  private cachedTokens = 0;

  private readonly windows = new Map<number, number>();
  private readonly clientRates = new Map<string, number>();
  private readonly lengthRows: {
    client: string;
    of: 'input' | 'output';
    points: readonly (readonly [number, number])[];
  }[] = [];

  constructor(private readonly options: { readonly strict?: boolean } = {}) {}

  /** The next lines are of another file of the same trace. */
  nextFile(): void {
    this.form = null;
    this.line = 0;
  }

  push(text: string): void {
    this.line++;
    if (text.trim() === '') return;
    if (this.form === null) {
      this.form = openForm(text);
      if (this.form === null) throw new TraceRefused(this.line, `this is no trace that is known: ${FORMS_TEXT}`);
      this.forms.push(this.form.form);
      if (this.form.heading) return;
    }
    const read = this.form.read(text);
    if (typeof read === 'string') {
      this.skipped++;
      this.note('nonsense', read);
    } else if (read.kind === 'request') this.take(read);
    else if (read.kind === 'rate') {
      this.windows.set(read.atS, (this.windows.get(read.atS) ?? 0) + read.perS);
      this.clientRates.set(read.client, (this.clientRates.get(read.client) ?? 0) + read.perS);
    } else if (read.kind === 'lengths') this.lengthRows.push(read);
  }

  /** What was read; throws when there is nothing to go by. `lengths` stand in where a trace tells only rates. */
  end(lengths?: { readonly inputTokens: number; readonly outputTokens: number }): TraceReport {
    const rates = this.windows.size > 0;
    if (this.requests === 0 && !rates)
      throw new TraceRefused(
        null,
        this.lengthRows.length > 0
          ? 'lengths alone tell no rate: give the rates as the trace and these as its lengths'
          : `the trace has no request that can be used${this.skipped > 0 ? `; ${this.skipped} lines were left out` : ''}`,
      );
    const arrivals = rates ? this.windowNumbers() : this.minuteNumbers();
    if (rates) this.takeLengths(lengths);
    return {
      forms: this.forms,
      summary: {
        ...arrivals,
        inputTokens: summaryOf(this.input),
        outputTokens: summaryOf(this.output),
        totalTokensP99: Math.max(1, this.total.quantiles(0.99)[0] ?? 1),
        cachedShare: this.blockedRequests > 0 ? this.cachedTokens / Math.max(1, this.input.mean * this.requests) : null,
      },
      findings: this.findings,
      found: this.found,
      skipped: this.skipped,
    };
  }

  private take(r: TraceRequest): void {
    const { previousS, requests } = this;
    if (r.atS < previousS) this.note('disorder', `arrives ${(previousS - r.atS).toFixed(3)} s before the line above`);
    else if (requests > 1) {
      const pauseS = r.atS - previousS;
      const usualS = (this.lastS - this.firstS) / (requests - 1);
      if (pauseS >= GAP_S && pauseS > GAP_TIMES * usualS)
        this.note('gap', `follows ${Math.round(pauseS)} s without a request`);
    }
    this.previousS = r.atS;
    this.requests++;
    this.firstS = Math.min(this.firstS, r.atS);
    this.lastS = Math.max(this.lastS, r.atS);
    const minute = Math.floor(r.atS / MINUTE_S);
    this.minutes.set(minute, (this.minutes.get(minute) ?? 0) + 1);
    this.input.add(r.inputTokens);
    this.output.add(r.outputTokens);
    this.total.add(r.inputTokens + r.outputTokens);
    if (r.blocks !== null) this.takeBlocks(r.blocks, r.inputTokens);
  }

  /** Blocks from the first on that were seen before: what a cache that forgets nothing would have. */
  private takeBlocks(blocks: readonly number[], inputTokens: number): void {
    this.blockedRequests++;
    let cached = 0;
    while (cached < blocks.length && this.seenBlocks.has(blocks[cached] ?? -1)) cached++;
    this.cachedTokens += Math.min(inputTokens, cached * BLOCK_TOKENS);
    for (const block of blocks) this.seenBlocks.add(block);
  }

  private minuteNumbers() {
    const spanS = this.lastS - this.firstS;
    // A trace shorter than a minute has one rate only.
    const meanPerS = this.requests / Math.max(1, spanS);
    const counts = new Tally();
    for (const n of this.minutes.values()) counts.add(n);
    const all = Math.floor(this.lastS / MINUTE_S) - Math.floor(this.firstS / MINUTE_S) + 1;
    if (all > this.minutes.size) counts.add(0, all - this.minutes.size);
    const [p95 = 0, peak = 0] = counts.quantiles(0.95, 1);
    return {
      requests: this.requests,
      spanS,
      meanPerS,
      p95PerS: Math.max(spanS < MINUTE_S ? meanPerS : 0, p95 / MINUTE_S) || meanPerS,
      peakPerS: Math.max(meanPerS, peak / MINUTE_S),
    };
  }

  private windowNumbers() {
    const times = [...this.windows.keys()].sort((a, b) => a - b);
    const stepS = times.slice(1).reduce((least, t, i) => Math.min(least, t - (times[i] ?? 0)), Infinity);
    const windowS = Number.isFinite(stepS) && stepS > 0 ? stepS : WINDOW_S;
    const rates = [...this.windows.values()].sort((a, b) => a - b);
    const mean = rates.reduce((sum, r) => sum + r, 0) / rates.length;
    if (!(mean > 0)) throw new TraceRefused(null, 'no window of the trace has a request');
    return {
      requests: Math.max(1, Math.round(mean * windowS * rates.length)),
      spanS: windowS * rates.length,
      meanPerS: mean,
      p95PerS: rates[Math.ceil(0.95 * rates.length) - 1] ?? mean,
      peakPerS: rates.at(-1) ?? mean,
    };
  }

  /** Lengths of all clients, each with the weight of its rate; a client without a rate of its own counts a little. */
  private takeLengths(given: { readonly inputTokens: number; readonly outputTokens: number } | undefined): void {
    const rows = this.lengthRows;
    if (!rows.some((r) => r.of === 'input') || !rows.some((r) => r.of === 'output')) {
      if (given === undefined)
        throw new TraceRefused(
          null,
          'the rates tell no lengths: give the file of lengths too, or a usual prompt and answer',
        );
      this.input.add(given.inputTokens);
      this.output.add(given.outputTokens);
      this.total.add(given.inputTokens + given.outputTokens);
      return;
    }
    const windowsOf = new Map<string, number>();
    for (const r of rows) windowsOf.set(r.client + r.of, (windowsOf.get(r.client + r.of) ?? 0) + 1);
    for (const r of rows) {
      const weight = (this.clientRates.get(r.client) ?? 1e-9) / (windowsOf.get(r.client + r.of) ?? 1);
      const tally = r.of === 'input' ? this.input : this.output;
      for (const [tokens, share] of r.points) tally.add(tokens, weight * share);
    }
    const [inputP99 = 1] = this.input.quantiles(0.99);
    const [outputP99 = 1] = this.output.quantiles(0.99);
    // Prompt and answer are not told together: both long at once is the careful guess.
    this.total.add(inputP99 + outputP99);
  }

  private note(kind: TraceFinding['kind'], reason: string): void {
    if (this.options.strict === true) throw new TraceRefused(this.line, reason);
    this.found++;
    if (this.findings.length < KEPT_FINDINGS) this.findings.push({ line: this.line, kind, reason });
  }
}

function summaryOf(tally: Tally): TokenSummary {
  const [p50 = 0, p95 = 0, p99 = 0, max = 0] = tally.quantiles(0.5, 0.95, 0.99, 1);
  return { mean: Math.max(1, tally.mean), p50, p95, p99, max };
}
