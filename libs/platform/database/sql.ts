/**
 * SQL text with its parameters apart. The `sql` tag is the only way to write raw SQL in the product: values become
 * parameters, never text; nested `sql` pieces are spliced with their parameters renumbered.
 */
export class Sql {
  constructor(
    readonly strings: readonly string[],
    readonly values: readonly unknown[],
  ) {}

  /** Text with $1..$n and the values in order. */
  compile(): { text: string; params: unknown[] } {
    const params: unknown[] = [];
    const write = (piece: Sql): string => {
      let text = piece.strings[0] ?? '';
      piece.values.forEach((value, i) => {
        if (value instanceof Sql) text += write(value);
        else {
          params.push(value);
          text += `$${params.length}`;
        }
        text += piece.strings[i + 1] ?? '';
      });
      return text;
    };
    return { text: write(this), params };
  }
}

export function sql(strings: TemplateStringsArray, ...values: readonly unknown[]): Sql {
  return new Sql(strings, values);
}

/** A name from our own table definitions; refuses anything that is not a plain identifier. */
export function identifier(name: string): Sql {
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(name)) throw new RangeError(`"${name}" is not an SQL identifier`);
  return new Sql([`"${name}"`], []);
}

export function join(parts: readonly Sql[], separator: ', ' | ' and ' | ' or ' | ' union all '): Sql {
  if (parts.length === 0) throw new RangeError('nothing to join');
  return new Sql(['', ...parts.slice(1).map(() => separator), ''], parts);
}
