import { describe, expect, it } from '@jest/globals';
import { batchLine, type JobView } from '#contracts';
import { progressText, small } from './batch.js';
import { neighboursOf, vectorsOf } from './neighbours.js';
import { chatBatch, embeddingBatch, texts } from './texts.js';

const result = (id: string, embedding: readonly number[]): string =>
  JSON.stringify({
    id: 'r',
    custom_id: id,
    response: { status_code: 200, body: { data: [{ embedding }] } },
    error: null,
  });

describe('the texts of the demo', () => {
  it('are 2,000, each with a name of its own, and make lines that the API takes', () => {
    const list = texts();
    expect(list).toHaveLength(2_000);
    expect(new Set(list.map((t) => t.id)).size).toBe(2_000);
    for (const batch of [embeddingBatch(list), chatBatch()])
      for (const line of batch.split('\n')) expect(batchLine.safeParse(JSON.parse(line)).error).toBeUndefined();
    expect(chatBatch().split('\n')).toHaveLength(40);
  });
});

describe('nearest neighbours', () => {
  const list = ['a', 'b', 'c', 'd'].map((id) => ({ id, title: id.toUpperCase(), text: id, source: 's' }));
  const vectors = vectorsOf(
    [result('a', [1, 0]), result('b', [2, 0.2]), result('c', [-1, 0]), result('d', [1, 1])].join('\n'),
  );

  it('are by angle, not by length, best first, and never the text itself', () => {
    const near = neighboursOf('a', vectors, list, 2);
    expect(near.map((n) => n.title)).toEqual(['B', 'D']);
    expect(near[1]?.similarity).toBeCloseTo(Math.SQRT1_2, 10);
  });

  it('refuse a line without a vector, and two results for one text', () => {
    expect(() => vectorsOf('{"custom_id":"a","response":null}')).toThrow();
    expect(() => vectorsOf(`${result('a', [1])}\n${result('a', [1])}`)).toThrow('a has two results');
  });
});

describe('what the demo says of a job', () => {
  const progress = { shardsTotal: 4, shardsDone: 2, linesTotal: 40, linesOk: 20, linesFailed: 0 };
  const job = {
    progress,
    state: 'running',
    cost: { held: '0', charged: '12000000', running: '345678', cap: '0' },
  } as JobView;

  it('shows how far it is and what it has cost so far', () => {
    expect(progressText(job, 19.6)).toBe(
      `${'█'.repeat(14)}${'░'.repeat(14)} 20/40 results, 2/4 shards, 20 a second, $0.0123 so far`,
    );
  });

  it('names the state while there is no result', () => {
    expect(progressText({ ...job, state: 'starting', progress: { ...progress, linesOk: 0 } }, 0)).toBe(
      `${'░'.repeat(28)} starting`,
    );
  });

  it('shows small amounts to a hundredth of a cent', () => {
    expect([small('0'), small('49999'), small('50000'), small('24987654321')]).toEqual([
      '$0.0000',
      '$0.0000',
      '$0.0001',
      '$24.9877',
    ]);
  });
});
