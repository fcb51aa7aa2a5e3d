import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { jsonOf } from './body-parsers.js';
import { jsonFault } from './json-body.js';

describe('jsonFault', () => {
  it.each([
    ['{"a":}', 5],
    ['', 0],
    ['[1,]', 3],
    ['{"a" 1}', 5],
    ['{"a":1,}', 7],
    ['"abc', 4],
    ['{"a":01}', 6],
    ['[1] 2', 4],
    ['{"a":tru}', 5],
    ["{'a':1}", 1],
    ['"\\x"', 1],
    ['"a\nb"', 2],
    ['[[[[', 4],
  ])('points at the first fault of %j', (text, offset) => {
    expect(() => {
      JSON.parse(text);
    }).toThrow();
    expect(jsonFault(text).offset).toBe(offset);
  });

  it('counts lines and columns from one', () => {
    expect(jsonFault('{\n  "a": 1,\n  b: 2\n}')).toMatchObject({ line: 3, column: 3 });
  });

  it('reads all of every JSON text: what it accepts is what JSON.parse accepts', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(jsonFault(text).offset).toBe(text.length);
      }),
    );
    fc.assert(
      fc.property(fc.json(), fc.nat(), fc.constantFrom(...'{}[]",:0a\\ -.'), (json, n, c) => {
        const at = n % (json.length + 1);
        const text = json.slice(0, at) + c + json.slice(at);
        const fault = jsonFault(text).offset;
        let good = true;
        try {
          JSON.parse(text);
        } catch {
          good = false;
        }
        // A text that breaks off is at fault at its end; any other is at fault before it.
        if (good) expect(fault).toBe(text.length);
        else expect(fault).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 500 },
    );
  });

  it('does not fall over depth', () => {
    expect(jsonFault('['.repeat(500_000)).offset).toBe(500_000);
  });
});

describe('a body', () => {
  it('may not be nested deeper than anybody needs', () => {
    const nested = (n: number): string => '['.repeat(n) + ']'.repeat(n);
    expect(jsonOf(nested(64))).toBeTruthy();
    expect(() => jsonOf(nested(66))).toThrow(expect.objectContaining({ code: 'json-too-deep' }));
  });
});
