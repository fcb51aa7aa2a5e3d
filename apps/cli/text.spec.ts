import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  dollars,
  duration,
  jsonText,
  nanoOf,
  plain,
  plainLine,
  secondsOf,
  shellWord,
  typedDollars,
  wrapped,
} from './text.js';

const OBEYED = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/;
const nasty = fc.string({ unit: fc.nat({ max: 0x20ff }).map((n) => String.fromCodePoint(n)) });

describe('text from elsewhere', () => {
  it('keeps nothing that a terminal obeys, and all the rest', () => {
    fc.assert(fc.property(nasty, (text) => !OBEYED.test(plain(text)) && !/[\n\t]/.test(plainLine(text))));
    expect(plain('\u001b]0;title\u0007 a\tb\nc é 日本 ░')).toBe(']0;title a\tb\nc é 日本 ░');
  });
  it('is the same value as JSON', () => {
    fc.assert(
      fc.property(nasty, fc.jsonValue(), (text, value) => {
        const json = jsonText({ text, value });
        expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify({ text, value })));
        expect(json).not.toMatch(OBEYED);
      }),
    );
  });
});

describe('dollars', () => {
  it.each([
    ['0', '$0.00'],
    ['3500000000', '$3.50'],
    ['-1250000000', '-$1.25'],
    ['900000', '$0.00090'],
    ['1', '$0.000000001'],
    ['1234567890123', '$1234.57'],
    [9_999_999n, '$0.0100'],
  ])('%s nano are %s', (nano, text) => expect(dollars(nano)).toBe(text));
  it('are within half a cent, or half of their second digit, of the amount', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 18n }), (nano) => {
        const shown = BigInt(nanoOf(dollars(nano)) ?? '-1');
        const off = shown > nano ? shown - nano : nano - shown;
        return nano >= 10_000_000n ? off <= 5_000_000n : off * 20n <= nano;
      }),
    );
  });
  it('are typed back exactly', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 20n }), (nano) => nanoOf(typedDollars(`${nano}`)) === `${nano}`),
    );
    expect([typedDollars('25000000000'), typedDollars('500000000')]).toEqual(['25', '0.5']);
  });
  it.each(['', '-1', '1e3', '1.', '.5', '1,000', '1.0000000001', '12 34'])('"%s" is no amount', (text) =>
    expect(nanoOf(text)).toBeNull(),
  );
});

describe('times', () => {
  it.each([
    ['90', 90],
    ['0.5s', 0.5],
    ['15m', 900],
    ['2h', 7_200],
    ['1d', 86_400],
    ['1w', null],
    ['-1s', null],
    ['', null],
  ])('"%s" is %p seconds', (text, seconds) => expect(secondsOf(text)).toBe(seconds));
  it('are told in the unit that suits them', () => {
    expect([0.25, 9, 89, 3_600, 36_000, 864_000, Number.NaN].map(duration)).toEqual([
      '0.3 s',
      '9.0 s',
      '89 s',
      '60 min',
      '10.0 h',
      '10.0 d',
      '?',
    ]);
  });
});

it('a shell word is one word', () => {
  expect(shellWord("a'; rm -rf $HOME #")).toBe("'a'\\''; rm -rf $HOME #'");
});

describe('wrapped', () => {
  it('keeps every word in order, and no line longer than asked unless a word is', () => {
    const words = fc.array(fc.stringMatching(/^[a-z]{1,30}$/), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(words, (list) => {
        const lines = wrapped(list.join(' '), 20, '  ').split('\n').slice(0, -1);
        expect(lines.flatMap((line) => line.trim().split(' '))).toEqual(list);
        for (const line of lines) expect(line.length <= 20 || !line.trim().includes(' ')).toBe(true);
      }),
    );
  });
});
