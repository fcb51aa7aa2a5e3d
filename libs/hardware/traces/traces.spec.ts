import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { TraceReader, TraceRefused, type TraceReport } from './index.js';

function read(lines: readonly string[], strict = false): TraceReport {
  const reader = new TraceReader({ strict });
  for (const line of lines) reader.push(line);
  return reader.end();
}

const azure = (rows: readonly string[]) => ['TIMESTAMP,ContextTokens,GeneratedTokens', ...rows];

describe('the forms of a trace', () => {
  it('Azure 2023: UTC to 100 ns, lengths, rates by the minute', () => {
    const { forms, summary } = read(
      azure([
        '2023-11-16 18:15:46.6805900,374,44',
        '2023-11-16 18:15:50.9951690,396,109',
        '2023-11-16 18:16:51.2224670,879,55',
        '2023-11-16 18:17:46.6805900,91,16',
      ]),
    );
    expect(forms).toEqual(['azure']);
    expect(summary.requests).toBe(4);
    expect(summary.spanS).toBeCloseTo(120, 6);
    expect(summary.meanPerS).toBeCloseTo(4 / 120, 9);
    expect(summary.peakPerS).toBeCloseTo(2 / 60, 9);
    expect(summary.inputTokens).toEqual({ mean: 435, p50: 374, p95: 879, p99: 879, max: 879 });
    expect(summary.totalTokensP99).toBe(934);
    expect(summary.cachedShare).toBeNull();
  });

  it('Mooncake: milliseconds, and the share of the prompt that an earlier request began with', () => {
    const { forms, summary } = read([
      '{"timestamp": 0, "input_length": 1024, "output_length": 10, "hash_ids": [0, 1]}',
      '{"timestamp": 1000, "input_length": 1536, "output_length": 20, "hash_ids": [0, 1, 2]}',
      '{"timestamp": 2000, "input_length": 1024, "output_length": 30, "hash_ids": [7, 1]}',
      '{"timestamp": 3000, "input_length": 600, "output_length": 30, "hash_ids": [0, 1]}',
    ]);
    expect(forms).toEqual(['mooncake']);
    // 1,024 of the second; none of the third, whose first block is new; all 600 of the last.
    expect(summary.cachedShare).toBeCloseTo((1_024 + 600) / (1_024 + 1_536 + 1_024 + 600), 9);
    expect(summary.spanS).toBe(3);
  });

  it('ServeGen: rates of all clients in a window add up; lengths count by the rate of their client', () => {
    const reader = new TraceReader();
    for (const line of [
      'client,timestamp,rate,cv,pattern,arg1,arg2',
      '1,0,3,1,Gamma,1,1',
      '2,0,1,1,Gamma,1,1',
      '1,600,0,0,,0,0',
      '2,600,2,1,Gamma,1,1',
    ])
      reader.push(line);
    reader.nextFile();
    for (const line of [
      'client,timestamp,field,mean,p5,p25,p50,p75,p95,p99',
      '1,0,input_tokens,100,100,100,100,100,100,100',
      '2,0,input_tokens,400,400,400,400,400,400,400',
      '1,0,output_tokens,10,10,10,10,10,10,10',
      '2,0,output_tokens,20,20,20,20,20,20,20',
      '1,0,reason_ratio,0.5,0,0,0,0,0,0',
    ])
      reader.push(line);
    const { forms, summary, found } = reader.end();
    expect(forms).toEqual(['servegen-rates', 'servegen-lengths']);
    expect(summary).toMatchObject({ meanPerS: 3, peakPerS: 4, spanS: 1_200, requests: 3_600 });
    expect(summary.inputTokens.mean).toBeCloseTo(250, 6);
    expect(found).toBe(0);
  });

  it('ServeGen without lengths wants some', () => {
    const lines = ['client,timestamp,rate,cv,pattern,arg1,arg2', '1,0,3,1,Gamma,1,1'];
    expect(() => read(lines)).toThrow('give the file of lengths too');
    const reader = new TraceReader();
    lines.forEach((l) => reader.push(l));
    expect(reader.end({ inputTokens: 500, outputTokens: 100 }).summary.inputTokens.mean).toBe(500);
    expect(() => read(['client,timestamp,field,mean,p5,p25,p50,p75,p95,p99'])).toThrow(TraceRefused);
  });

  it.each([
    ['arrival_s,input_tokens,output_tokens', '0.5,100,10'],
    ['output_tokens,"arrival_s",prompt_tokens', '10,0.5,100'],
    ['', '{"arrival_s": 0.5, "input_tokens": 100, "output_tokens": 10}'],
  ])('plain: %s', (heading, row) => {
    const { forms, summary } = read([heading, row].filter((l) => l !== ''));
    expect(forms).toEqual(['plain']);
    expect(summary).toMatchObject({ requests: 1, meanPerS: 1, inputTokens: { mean: 100 }, outputTokens: { mean: 10 } });
  });

  it.each([[['a,b,c', '1,2,3']], [['<html>']], [[]], [azure([])]])('refuses what is no trace: %j', (lines) => {
    expect(() => read(lines)).toThrow(TraceRefused);
  });
});

describe('a trace with faults', () => {
  const faulty = azure([
    '2023-11-16 18:00:00.0,100,10',
    'yesterday,100,10',
    '2023-11-16 18:00:02.0,-5,10',
    '2023-11-16 18:00:03.0,100',
    '2023-11-16 18:00:04.0,1e9,10',
    '',
    '2023-11-16 18:00:05.0,100,10',
    '2023-11-16 18:00:01.5,100,10',
    '2023-11-16 18:00:06.0,0,0',
    '2023-11-16 20:00:06.0,100,10',
  ]);

  it('is read on, with line numbers and reasons; nonsense is left out, the rest counts', () => {
    const { summary, findings, found, skipped } = read(faulty);
    expect(findings.map((f) => [f.line, f.kind])).toEqual([
      [3, 'nonsense'],
      [4, 'nonsense'],
      [5, 'nonsense'],
      [6, 'nonsense'],
      [9, 'disorder'],
      [10, 'nonsense'],
      [11, 'gap'],
    ]);
    expect(findings[0]?.reason).toContain('yesterday');
    expect(findings[1]?.reason).toContain('-5');
    expect([found, skipped, summary.requests]).toEqual([7, 5, 4]);
    expect(summary.spanS).toBe(7_206);
  });

  it('stops at the first with strict', () => {
    expect(() => read(faulty, true)).toThrow('line 3: has no time that can be read: "yesterday"');
    const [heading = '', first = '', ...rest] = faulty;
    expect(() => read([heading, first, ...rest.slice(5)], true)).toThrow('line 4: arrives 3.500 s before');
  });

  it('keeps the first findings only, and says how many there were', () => {
    const { findings, found } = read(azure(['2023-11-16 18:00:00.0,1,1', ...Array<string>(500).fill('x,1,1')]));
    expect([findings.length, found]).toEqual([50, 500]);
  });

  it('is refused with no usable line', () => {
    expect(() => read(azure(['x,1,1', 'y,1,1']))).toThrow('2 lines were left out');
  });

  it.each([['{"timestamp": 1'], ['{"timestamp": "a", "input_length": 1, "output_length": 1}'], ['[]']])(
    'JSON that is none: %s',
    (line) => {
      const ok = '{"timestamp": 0, "input_length": 5, "output_length": 5, "hash_ids": [1]}';
      expect(read([ok, line]).findings).toMatchObject([{ line: 2, kind: 'nonsense' }]);
    },
  );
});

describe('a summary', () => {
  const rows = fc.array(
    fc.record({
      at: fc.integer({ min: 0, max: 100_000 }),
      input: fc.integer({ min: 1, max: 9_999 }),
      output: fc.integer({ min: 0, max: 999 }),
    }),
    { minLength: 1, maxLength: 60 },
  );
  const lines = (list: readonly { at: number; input: number; output: number }[]) => [
    'arrival_s,input_tokens,output_tokens',
    ...list.map((r) => `${r.at},${r.input},${r.output}`),
  ];

  it('does not depend on the order of the lines, and its rates are in order', () => {
    fc.assert(
      fc.property(rows, (list) => {
        const { summary: a } = read(lines(list));
        const { summary: b } = read(lines([...list].reverse()));
        expect(b).toEqual(a);
        expect(a.peakPerS).toBeGreaterThanOrEqual(a.meanPerS);
        expect(a.requests).toBe(list.length);
        const { p50, p95, p99, max } = a.inputTokens;
        expect([p50, p95, p99, max]).toEqual([p50, p95, p99, max].sort((x, y) => x - y));
        expect(max).toBe(Math.max(...list.map((r) => r.input)));
      }),
    );
  });

  it.each(['1e305', '-1e12'])('leaves out an arrival at %s s, and names its line', (at) => {
    const { findings, summary } = read(['arrival_s,input_tokens,output_tokens', '1,5,5', `${at},5,5`]);
    expect(findings.map((f) => [f.line, f.kind])).toEqual([[3, 'nonsense']]);
    expect(summary.requests).toBe(1);
  });

  it('never throws anything but a refusal, whatever the lines', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string(), fc.constantFrom('{}', '1,2,3', 'TIMESTAMP,ContextTokens,GeneratedTokens'))),
        (list) => {
          try {
            read(list);
          } catch (error) {
            expect(error).toBeInstanceOf(TraceRefused);
          }
        },
      ),
    );
  });
});
