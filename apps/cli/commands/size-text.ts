import type { SizedShape, SizingView } from '#contracts';
import { rowsText, type Output } from '../output.js';
import { dollars, duration, jsonText, plainLine } from '../text.js';

/** A sizing for people, for programs (tab-separated shapes) or as JSON. */
export function sizingText(view: SizingView, output: Output): string {
  if (output.json) return `${jsonText(view)}\n`;
  if (view.kind === 'gpu-hours' || view.kind === 'hardware') return machinesText(view, output);
  const table = shapesTable(view, output);
  if (!output.table) return table;
  const lines = [
    ...heading(view),
    '',
    table.trimEnd(),
    ...(view.shapesFound > view.shapes.length ? [`... and ${view.shapesFound - view.shapes.length} more (--top)`] : []),
    ...bestText(view),
    ...quantizationText(view),
    ...missesText(view),
    ...(view.notes.length > 0 ? ['', ...view.notes] : []),
    ...findingsText(view),
  ];
  return `${lines.flatMap((l) => (l.includes('\n') ? [l] : folded(plainLine(l)))).join('\n')}\n`;
}

const COLUMNS = 100;

/** A line broken at words, what follows under the text of the first. */
function folded(line: string): string[] {
  if (line.length <= COLUMNS) return [line];
  const indent = ' '.repeat(line.startsWith('  ') ? Math.max(11, line.search(/\S/)) : line.search(/\S/));
  const at = line.lastIndexOf(' ', COLUMNS);
  if (at <= indent.length) return [line];
  return [line.slice(0, at), ...folded(`${indent}${line.slice(at + 1)}`)];
}

const gib = (x: number): string => (x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2));
const perS = (x: number): string => (x >= 100 ? x.toFixed(0) : x.toPrecision(2));
const count = (x: number): string => Math.round(x).toLocaleString('en-US');
const billions = (n: number): string => `${(n / 1e9).toFixed(n >= 1e11 ? 0 : 1)}B`;

function heading(view: SizingView): string[] {
  const { model: m, demand: d } = view;
  if (!m || !d) return [];
  const active = m.activeParameters < m.parameters ? `, ${billions(m.activeParameters)} active` : '';
  const experts = m.experts ? `, ${m.experts.perToken} of ${m.experts.total} experts` : '';
  const cache = `${count(m.cacheBytesPerToken)} bytes of cache per token`;
  const lines = [`${m.name}: ${billions(m.parameters)} parameters${active}${experts}, ${m.attention}, ${cache}`];
  const held = d.concurrency === null ? '' : `, ${count(d.concurrency)} at once`;
  lines.push(
    `Sequences up to ${count(d.contextTokens)} tokens; usual ${count(d.inputTokens)} in, ${count(d.outputTokens)} out${held}`,
  );
  if (d.trace) {
    const t = d.trace;
    lines.push(
      `Trace: ${count(t.requests)} requests in ${duration(t.spanS)}; ${perS(t.meanPerS)}/s mean, ${perS(t.p95PerS)} p95 minute, ${perS(t.peakPerS)} peak minute`,
      `       prompts ${count(t.inputTokens.p50)} median, ${count(t.inputTokens.p99)} p99; answers ${count(t.outputTokens.p50)} median, ${count(t.outputTokens.p99)} p99` +
        (t.cachedShare === null ? '' : `; ${Math.round(t.cachedShare * 100)} % of prompt tokens repeat`),
    );
  }
  return [...lines, ...m.notes.map((n) => `Note: ${n}`)];
}

function shapesTable(view: SizingView, output: Output): string {
  return rowsText(
    view.shapes,
    [
      { title: 'shape', of: (s) => `${s.gpus} x ${s.accelerator}` },
      { title: 'split', of: (s) => `${s.tensorParallel}x${s.pipelineParallel}`, spare: true },
      { title: 'width', of: (s) => s.precision },
      { title: 'holds', of: (s) => s.holds ?? 'any', right: true, spare: true },
      { title: 'runs', of: (s) => s.runs, right: true, spare: true },
      { title: 'copies', of: (s) => s.replicas, right: true },
      { title: 'tok/s each', of: (s) => (output.table ? count(s.tokensPerS.value) : s.tokensPerS.value), right: true },
      { title: 'ttft ms', of: (s) => Math.round(s.ttftMs.value), right: true },
      { title: 'tpot ms', of: (s) => s.tpotMs.value.toFixed(1), right: true },
      { title: '$/h', of: (s) => (s.offers[0] ? dollars(s.offers[0].totalPerHour) : ''), right: true },
      { title: '$/Mtok', of: (s) => (s.offers[0] ? dollars(s.offers[0].perMillionTokens.value) : ''), right: true },
      { title: 'cheapest', of: (s) => s.offers[0]?.providerId ?? 'not on offer' },
    ],
    output,
  );
}

/** The first shape in full: where its memory goes, how sure its speed is, what the factors do, its offers. */
function bestText(view: SizingView): string[] {
  const s = view.shapes[0];
  if (!s) return [];
  const m = s.memory;
  return [
    '',
    `First: ${s.gpus} x ${s.accelerator}, ${s.precision}${s.replicas > 1 ? `, ${s.replicas} replicas` : ''}`,
    `  memory   ${gib(m.totalGiB)} GiB = ${gib(m.weightsGiB)} weights + ${gib(m.overheadGiB)} overhead + ${gib(m.activationsGiB)} activations + ${gib(m.cacheGiB)} cache`,
    `           ${gib(m.cachePerSequenceGiB)} GiB per sequence: ${s.holds === null ? 'no limit' : `${s.holds} at once`}; ${limitText(s)}`,
    `  speed    ${range(s.tokensPerS, count)} tokens/s; first token ${range(s.ttftMs, (x) => x.toFixed(0))} ms; then ${range(s.tpotMs, (x) => x.toFixed(1))} ms each`,
    `           ${s.source}, confidence ${s.confidence.toFixed(2)}: ${s.sourceNote}`,
    ...(s.underWay
      ? [
          `  load     ${s.underWay.mean.toFixed(1)} requests under way on the average, ${s.underWay.peak.toFixed(1)} at the peak`,
        ]
      : []),
    ...s.factors.map(
      (f, i) =>
        `  ${i === 0 ? 'factors ' : '        '} ${f.name} ${f.on ? 'on' : 'off'}: x${f.multiplier.toFixed(2)}${f.on ? '' : ' if on'} (${f.note})`,
    ),
    ...s.offers.flatMap((o, i) => [
      `  ${i === 0 ? 'offers  ' : '        '} ${dollars(o.perMillionTokens.value)}/Mtok (${dollars(o.perMillionTokens.low)} to ${dollars(o.perMillionTokens.high)}; in ${dollars(o.perMillionInput)}, out ${dollars(o.perMillionOutput)})`,
      `           ${o.machines} x ${o.providerId} ${o.sku}, ${o.region}, ${o.pricing}: ${dollars(o.totalPerHour)}/h` +
        (o.total === null || o.hours === null ? '' : `; ${duration(o.hours * 3_600)}, ${dollars(o.total)} in all`),
      ...o.notes.map((n) => `           ${n}`),
    ]),
    ...s.notes.map((n) => `  note     ${n}`),
  ];
}

function range(p: { value: number; low: number; high: number }, show: (x: number) => string): string {
  return `${show(p.value)} (${show(p.low)} to ${show(p.high)})`;
}

function limitText(s: SizedShape): string {
  const why: Readonly<Record<SizedShape['limitedBy'], string>> = {
    load: 'all that was asked for',
    memory: s.replicas > 1 && s.underWay === null ? `so ${s.replicas} replicas` : 'memory allows no more',
    latency: 'more would miss the latency target',
    engine: 'engines run no more at once unless told to',
  };
  return `${s.runs} run${s.replicas > 1 ? ' on each' : ''}, ${why[s.limitedBy]}`;
}

function quantizationText(view: SizingView): string[] {
  if (view.quantization.length === 0) return [];
  return [
    '',
    'Widths of the weights:',
    ...view.quantization.flatMap((w) => {
      const change =
        w.savedGiB > 0
          ? `, ${gib(w.savedGiB)} less than published`
          : w.savedGiB < 0
            ? `, ${gib(-w.savedGiB)} more`
            : '';
      const best = w.shape === null ? 'no shape' : `best ${w.shape}`;
      const cost = w.perMillionTokens === null ? '' : ` at ${dollars(w.perMillionTokens)}/Mtok`;
      const c = w.compared;
      const same =
        c === null
          ? []
          : [
              `        on ${c.shape}: ${c.holds ?? 'any number of'} sequences` +
                (c.perMillionTokens === null ? '' : `, ${dollars(c.perMillionTokens)}/Mtok`),
            ];
      return [
        `  ${w.precision.padEnd(5)} ${gib(w.weightsGiB)} GiB${change}; ${best}${cost}`,
        ...same,
        `        ${w.risk}`,
      ];
    }),
  ];
}

const MISSES_SHOWN = 5;

function missesText(view: SizingView): string[] {
  if (view.misses.length === 0) return [];
  const shown = view.shapes.length === 0 ? view.misses : view.misses.slice(0, MISSES_SHOWN);
  const rest = view.misses.length - shown.length;
  return [
    '',
    'Does not do:',
    ...shown.map(
      (m) =>
        `  ${`${m.gpus} x ${m.accelerator} ${m.precision}`.padEnd(26)} ${m.missingGiB === null ? m.reason : `${gib(m.missingGiB)} GiB more needed`}`,
    ),
    ...(rest > 0 ? [`  ... and ${rest} more (--json has all)`] : []),
  ];
}

const FINDINGS_SHOWN = 10;

function findingsText(view: SizingView): string[] {
  if (view.findingsFound === 0) return [];
  const shown = view.findings.slice(0, FINDINGS_SHOWN);
  const rest = view.findingsFound - shown.length;
  return [
    '',
    `Lines of the trace (${view.skipped} left out):`,
    ...shown.map((f) => `  line ${f.line}: ${f.kind}: ${f.reason}`),
    ...(rest > 0 ? [`  ... and ${rest} more`] : []),
  ];
}

function machinesText(view: SizingView, output: Output): string {
  return rowsText(
    view.machines,
    [
      { title: 'provider', of: (m) => m.providerId },
      { title: 'sku', of: (m) => m.sku, spare: true },
      { title: 'accelerator', of: (m) => (m.count === 0 ? m.accelerator : `${m.count} x ${m.accelerator}`) },
      { title: 'link', of: (m) => m.intraNode, spare: true },
      { title: 'region', of: (m) => m.region },
      { title: 'pricing', of: (m) => m.pricing },
      { title: 'hours', of: (m) => (output.table ? duration(m.hours * 3_600) : m.hours), right: true },
      { title: '$/h', of: (m) => dollars(m.totalPerHour), right: true },
      { title: 'total', of: (m) => dollars(m.total), right: true },
    ],
    output,
  );
}
