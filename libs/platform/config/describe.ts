import { givenVariables, type Environment } from './config.js';
import { shownValue } from './mask.js';
import { meaningOf, VARIABLE_NAMES, type VariableName } from './variables.js';

export interface VariableDescription {
  readonly name: VariableName;
  readonly about: string;
  readonly fallback: string;
  /** What the environment gives, secrets masked; null when it is left out. */
  readonly given: string | null;
}

/** Every variable with its meaning, its default and what `env` gives. Safe to show. */
export function configVariables(env: Environment = process.env): VariableDescription[] {
  const given = givenVariables(env);
  return VARIABLE_NAMES.map((name) => {
    const { about, fallback } = meaningOf(name);
    const text = given[name];
    return { name, about, fallback, given: text === undefined ? null : shownValue(name, text) };
  });
}

/** The same as a Markdown table with aligned columns; a value column appears only when `env` is given. */
export function describeConfig(env?: Environment): string {
  const rows = configVariables(env ?? {}).map((v) => [
    v.name,
    ...(env ? [v.given ?? '(default)'] : []),
    v.fallback,
    v.about,
  ]);
  const head = ['Variable', ...(env ? ['Value'] : []), 'Default', 'Meaning'];
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}
