/** Text from elsewhere, safe for a terminal: no control characters, so no escape sequences. */
export function plain(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '');
}

/** The same on one line: a name with a line break in it cannot pass for a line of ours. */
export function plainLine(text: string): string {
  return plain(text.replace(/[\t\n\r\u0085\u2028\u2029]+/g, ' '));
}

/**
 * Exact JSON of a value. JSON itself escapes control characters below U+0020 only; the rest that a terminal or a
 * reader of bidirectional text obeys is written as \\uXXXX, which means the same.
 */
export function jsonText(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** One word for a POSIX shell, whatever is in it. */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Nano-dollars as text to dollars: at least cents, more where cents would show nothing. */
export function dollars(nano: string | bigint): string {
  const value = BigInt(nano);
  const negative = value < 0n;
  const abs = negative ? -value : value;
  const whole = (abs / 1_000_000_000n).toString();
  const fraction = (abs % 1_000_000_000n).toString().padStart(9, '0');
  // Two significant digits below a cent: $0.0009, not $0.00.
  const digits = abs >= 10_000_000n || abs === 0n ? 2 : Math.min(9, fraction.search(/[1-9]/) + 2);
  const rounded = roundTo(abs, digits);
  const shown =
    digits === 9
      ? `${whole}.${fraction}`
      : `${rounded / 10n ** BigInt(digits)}.${(rounded % 10n ** BigInt(digits)).toString().padStart(digits, '0')}`;
  return `${negative ? '-' : ''}$${shown}`;
}

/** Nano-dollars as text to dollars with all their decimals: "-1.250000001". */
export function exactDollars(nano: string | bigint): string {
  const value = BigInt(nano);
  const abs = (value < 0n ? -value : value).toString().padStart(10, '0');
  const fraction = abs.slice(-9).replace(/0+$/, '').padEnd(2, '0');
  return `${value < 0n ? '-' : ''}${abs.slice(0, -9)}.${fraction}`;
}

function roundTo(nano: bigint, digits: number): bigint {
  const step = 10n ** BigInt(9 - digits);
  return (nano + step / 2n) / step;
}

/** Dollars typed by a person ("2.50") to nano-dollars as text; null when it is not an amount. */
export function nanoOf(text: string): string | null {
  const match = /^\$?(\d{1,12})(?:\.(\d{1,9}))?$/.exec(text.trim());
  if (!match) return null;
  return (BigInt(match[1] ?? '0') * 1_000_000_000n + BigInt((match[2] ?? '').padEnd(9, '0'))).toString();
}

/** The shortest amount that `nanoOf` reads as this one. */
export function typedDollars(nano: string): string {
  const digits = nano.padStart(10, '0');
  return `${digits.slice(0, -9)}.${digits.slice(-9)}`.replace(/\.?0+$/, '');
}

/** "90s", "15m", "2h", "1d" or plain seconds, to seconds; null when it is none of these. */
export function secondsOf(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)(s|m|h|d)?$/.exec(text.trim());
  if (!match) return null;
  const unit = { s: 1, m: 60, h: 3_600, d: 86_400 }[match[2] ?? 's'] ?? 1;
  return Number(match[1]) * unit;
}

export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${(seconds / 3_600).toFixed(1)} h`;
  return `${(seconds / 86_400).toFixed(1)} d`;
}

export function ago(iso: string, nowMs: number = Date.now()): string {
  return `${duration(Math.max(0, (nowMs - Date.parse(iso)) / 1_000))} ago`;
}

/** A metered quantity for people. */
export function quantityText(quantity: string, unit: string): string {
  return unit === 'ms' ? duration(Number(quantity) / 1_000) : `${quantity} ${unit}`;
}

/** Words over lines of at most `width` columns, those after the first indented. */
export function wrapped(text: string, width: number, indent: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = `${indent}${word}`;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].map((l) => `${l}\n`).join('');
}
