import { describe, expect, it } from '@jest/globals';
import { amountColumn, factsText, outputOf, rowsText, type Column } from './output.js';

const terminal = { isTTY: true };
const table = outputOf({}, terminal, terminal);
const columns: Column<{ name: string; n: number | null }>[] = [
  { title: 'name', of: (r) => r.name },
  { title: 'n', of: (r) => r.n, right: true },
];
const rows = [
  { name: 'long name', n: 5 },
  { name: 'a\n\u001b[2J', n: null },
  { name: 'b', n: 1234 },
];

describe('rows', () => {
  it('are aligned on a terminal', () => {
    expect(rowsText(rows, columns, table).split('\n')).toEqual([
      'NAME          N',
      'long name     5',
      'a [2J',
      'b          1234',
      '',
    ]);
  });
  it('leave out what is spare where the terminal is narrow, the last first, and say so', () => {
    const spare: Column<{ name: string; n: number | null }>[] = [
      ...columns,
      { title: 'seen', of: () => 'today', spare: true },
      { title: 'more', of: () => '12345', spare: true },
    ];
    const heads = (width?: number): string[] => {
      const text = rowsText(rows, spare, outputOf({}, { isTTY: true, ...(width ? { columns: width } : {}) }, terminal));
      return [text.split('\n')[0] ?? '', text.split('\n').at(-2) ?? ''];
    };
    expect(heads()).toEqual(['NAME          N  SEEN   MORE', 'b          1234  today  12345']);
    expect(heads(29)).toEqual(heads());
    expect(heads(28)).toEqual(['NAME          N  SEEN', '(no room for: more)']);
    // What is not spare stays, however narrow it is.
    expect(heads(5)).toEqual(['NAME          N', '(no room for: seen, more)']);
    expect(rowsText(rows, spare, outputOf({}, { columns: 5 }, {})).split('\n')[0]).toBe('name\tn\tseen\tmore');
  });
  it('are said to be none there', () => expect(rowsText([], columns, table)).toBe('There are none.\n'));
  it('are tab-separated anywhere else, one line each', () => {
    expect(rowsText(rows, columns, outputOf({}, {}, {}))).toBe('name\tn\nlong name\t5\na [2J\t\nb\t1234\n');
  });
  it('are the items with --json, none as an empty list', () => {
    const json = outputOf({ json: true }, terminal, terminal);
    expect(JSON.parse(rowsText(rows, columns, json))).toEqual(rows);
    expect(rowsText([], columns, json)).toBe('[]\n');
  });
});

describe('rows as CSV', () => {
  const csv = outputOf({ csv: true }, terminal, terminal);
  const amounts = [
    { title: 'who', of: (r: { who: string }) => r.who },
    amountColumn('paid', (r: { nano: string }) => r.nano),
  ];
  const of = (who: string, nano: string): string =>
    rowsText([{ who, nano }], amounts as Column<{ who: string; nano: string }>[], csv);

  it('have exact amounts, and nothing that a spreadsheet computes', () => {
    expect(of('a', '1250000001')).toBe('who,paid\r\na,1.250000001\r\n');
    expect(of('=1+1', '-3')).toBe("who,paid\r\n'=1+1,-0.000000003\r\n");
    expect(of('a "b", c', '5000000000')).toBe('who,paid\r\n"a ""b"", c",5.00\r\n');
  });
  it('have a heading when there are none', () => expect(rowsText([], columns, csv)).toBe('name,n\r\n'));
  it('are not JSON too', () => expect(() => outputOf({ csv: true, json: true })).toThrow('not both'));
});

it('facts leave out what is not known, and no value starts a line of its own', () => {
  const facts = [
    ['id', 'x\nstate  succeeded'],
    ['reason', null],
    ['charged', '$1.00'],
  ] as const;
  expect(factsText({}, facts, table)).toBe('id       x state  succeeded\ncharged  $1.00\n');
  expect(factsText({}, facts, outputOf({}, {}, {}))).toBe('id\tx state  succeeded\ncharged\t$1.00\n');
});

it('a program that asks for JSON hears no talk; a person still does', () => {
  expect(outputOf({ json: true }, {}, {}).quiet).toBe(true);
  expect(outputOf({ json: true }, {}, terminal).quiet).toBe(false);
  expect(outputOf({ quiet: true }, terminal, terminal).quiet).toBe(true);
});
