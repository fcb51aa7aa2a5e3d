/** Where a JSON text stops being JSON, in characters from its start, and the line and column of that place (from 1). */
export interface JsonFault {
  readonly offset: number;
  readonly line: number;
  readonly column: number;
}

const LITERAL = /true|false|null/y;
const NUMBER = /-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
// Everything but quotes, backslashes and control characters, then escapes; `y` anchors at lastIndex.
const STRING_PART = /[^"\\\u0000-\u001f]+|\\(["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const SPACE = /[ \t\n\r]*/y;

/**
 * Finds the first fault of a text that JSON.parse refused. The engine's own message names no position for short texts,
 * and how it names it differs between versions. Iterative, so that depth cannot exhaust the stack.
 */
export function jsonFault(text: string): JsonFault {
  let at = 0;
  const eat = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (!found) return false;
    at += found[0].length;
    return true;
  };
  const eatChar = (c: string): boolean => {
    if (text[at] !== c) return false;
    at += 1;
    return true;
  };
  const eatString = (): boolean => {
    if (!eatChar('"')) return false;
    while (eat(STRING_PART));
    return eatChar('"');
  };
  const eatName = (): boolean => {
    eat(SPACE);
    if (!eatString()) return false;
    eat(SPACE);
    return eatChar(':');
  };

  /** Closing characters of the arrays and objects that are open. */
  const open: string[] = [];
  const scan = (): void => {
    for (;;) {
      eat(SPACE);
      if (eatChar('{')) {
        eat(SPACE);
        if (!eatChar('}')) {
          open.push('}');
          if (!eatName()) return;
          continue;
        }
      } else if (eatChar('[')) {
        eat(SPACE);
        if (!eatChar(']')) {
          open.push(']');
          continue;
        }
      } else if (text[at] === '"') {
        if (!eatString()) return;
      } else if (!eat(LITERAL) && !eat(NUMBER)) return;
      for (;;) {
        eat(SPACE);
        const close = open.at(-1);
        if (close === undefined) return;
        if (eatChar(close)) open.pop();
        else if (eatChar(',')) {
          if (close === '}' && !eatName()) return;
          break;
        } else return;
      }
    }
  };
  scan();
  const before = text.slice(0, at);
  const line = before.split('\n').length;
  return { offset: at, line, column: at - before.lastIndexOf('\n') };
}
