import { describe, expect, it } from '@jest/globals';
import { csvText } from './csv.js';

describe('comma-separated values', () => {
  it('quote what would break a line or a cell', () => {
    expect(
      csvText([
        ['a', 'b'],
        ['x,y', 'say "no"\nplease'],
      ]),
    ).toBe('a,b\r\n"x,y","say ""no""\nplease"\r\n');
  });

  it('are no formula to a spreadsheet, and leave numbers alone', () => {
    expect(csvText([['=1+1', '@x', '-2', '-2.50', '-cmd', '+4']])).toBe("'=1+1,'@x,-2,-2.50,'-cmd,'+4\r\n");
  });
});
