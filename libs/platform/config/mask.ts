import { meaningOf, type VariableName } from './variables.js';

/** The value as it may be shown: secrets by their length only, URLs without their password. */
export function shownValue(name: VariableName, text: string): string {
  const { secret } = meaningOf(name);
  if (secret === 'all') return `(hidden, ${text.length} characters)`;
  // By pattern and not by URL.parse: a value that does not parse may hold a password too.
  if (secret === 'password')
    return text
      .replace(/^([^:/?#]+:\/\/)?([^/?#]*)@/, '$1***@')
      .replace(/(secret|key|token|password)=[^&]*/gi, '$1=***');
  return text;
}
