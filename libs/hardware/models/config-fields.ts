/** One thing wrong with a config: `field` is the path inside the file. */
export interface ConfigProblem {
  readonly field: string;
  readonly message: string;
}

export type Json = Readonly<Record<string, unknown>>;

export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Reads fields under any of their usual names and collects what is wrong with them, with the path where it stands. */
export class ConfigFields {
  readonly problems: ConfigProblem[] = [];

  constructor(
    private readonly json: Json,
    /** Where this object stands in the file: "text_config." or "". */
    private readonly path: string,
  ) {}

  /** The object inside, or an empty one. */
  inner(name: string): ConfigFields {
    const value = this.json[name];
    const fields = new ConfigFields(isJson(value) ? value : {}, `${this.path}${name}.`);
    return fields;
  }

  raw(...names: readonly string[]): unknown {
    for (const name of names) if (this.json[name] !== undefined && this.json[name] !== null) return this.json[name];
    return undefined;
  }

  /** A whole number from `least` to `most`; undefined when absent. A value that is none is a problem, not an absence. */
  count(names: string | readonly string[], least = 1, most = 100_000_000): number | undefined {
    for (const name of typeof names === 'string' ? [names] : names) {
      const value = this.json[name];
      if (value === undefined || value === null) continue;
      if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
      this.problems.push({
        field: this.path + name,
        message: `must be a whole number from ${least} to ${most}, not ${shown(value)}`,
      });
      return undefined;
    }
    return undefined;
  }

  flag(name: string): boolean | undefined {
    const value = this.json[name];
    return typeof value === 'boolean' ? value : undefined;
  }

  text(name: string): string | undefined {
    const value = this.json[name];
    return typeof value === 'string' && value !== '' ? value : undefined;
  }

  list(...names: readonly string[]): readonly unknown[] | undefined {
    const value = this.raw(...names);
    return Array.isArray(value) ? (value as readonly unknown[]) : undefined;
  }

  missing(field: string, message: string): void {
    if (!this.problems.some((p) => p.field === this.path + field)) {
      this.problems.push({ field: this.path + field, message });
    }
  }
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 37)}...` : text;
}
