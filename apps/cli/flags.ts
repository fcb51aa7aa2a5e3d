import { InvalidArgumentError } from 'commander';
import { nanoOf, secondsOf } from './text.js';

/*
 * Values of options. They are read while the line is: one that is wrong is refused with the option's name, before anything is
 * asked of a broker.
 */

export function wholeNumber(low: number, high: number) {
  return (text: string): number => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < low || value > high)
      throw new InvalidArgumentError(`It is a whole number from ${low} to ${high}.`);
    return value;
  };
}

export function aboveZero(text: string): number {
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value)) throw new InvalidArgumentError('It is a number above 0.');
  return value;
}

export function oneOf<const T extends string>(choices: readonly T[]) {
  return (text: string): T => {
    const found = choices.find((choice) => choice === text);
    if (found === undefined) throw new InvalidArgumentError(`It is one of ${choices.join(', ')}.`);
    return found;
  };
}

/** Words separated by commas. */
export function listOf(text: string): string[] {
  const parts = text
    .split(',')
    .map((p) => p.trim())
    .filter((p) => p !== '');
  if (parts.length === 0) throw new InvalidArgumentError('It is one or more words separated by commas.');
  return parts;
}

/** Some of the choices, separated by commas. */
export function someOf<const T extends string>(choices: readonly T[]) {
  const one = oneOf(choices);
  return (text: string): T[] => listOf(text).map((word) => one(word));
}

/** Codes of countries, separated by commas. */
export function twoLetters(text: string): string[] {
  return listOf(text).map((code) => {
    if (!/^[A-Za-z]{2}$/.test(code))
      throw new InvalidArgumentError('It is one or more codes of two letters separated by commas, such as US,DE.');
    return code.toUpperCase();
  });
}

/** Numbers with dots between. */
export function versionNumber(text: string): string {
  if (!/^\d+(\.\d+){0,3}$/.test(text) || text.length > 30)
    throw new InvalidArgumentError('It is a version such as 12.4.');
  return text;
}

/** A length of time, in seconds. */
export function timeSpan(text: string): number {
  const seconds = secondsOf(text);
  if (seconds === null) throw new InvalidArgumentError('It is a time such as 90s, 15m or 2h.');
  return seconds;
}

/** A point in time, in ISO 8601. */
export function instant(text: string): string {
  if (Number.isNaN(Date.parse(text))) throw new InvalidArgumentError('It is a time such as 2026-11-21T00:00:00Z.');
  return new Date(text).toISOString();
}

/** Dollars, as nano-dollars. */
export function money(text: string): string {
  const nano = nanoOf(text);
  if (nano === null) throw new InvalidArgumentError('It is an amount of dollars such as 2.50.');
  return nano;
}

/** Dollars with at most two decimals, as cents. */
export function centsOption(text: string): string {
  const nano = BigInt(money(text));
  if (nano % 10_000_000n !== 0n) throw new InvalidArgumentError('It is a whole number of cents.');
  return (nano / 10_000_000n).toString();
}

/** A month. */
export function monthValue(text: string): string {
  if (!/^\d{4}-(0[1-9]|1[0-2])$/.test(text)) throw new InvalidArgumentError('It is a month such as 2026-11.');
  return text;
}

export function collect(text: string, before: readonly string[]): string[] {
  return [...before, text];
}

export function collectPair(text: string, before: Readonly<Record<string, string>>): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It is NAME=value.');
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

/** Options as a request takes them: leaves out what was not given. */
export function defined<T extends object>(value: T): { [K in keyof T]: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as {
    [K in keyof T]: NonNullable<T[K]>;
  };
}
