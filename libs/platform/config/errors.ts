/** One wrong variable, as a sentence that ends with what to do. */
export interface ConfigProblem {
  readonly variable: string;
  readonly sentence: string;
}

/** The environment is wrong: the message holds every problem, one sentence a line. Stops the boot. */
export class ConfigError extends Error {
  constructor(readonly problems: readonly ConfigProblem[]) {
    super(problems.map((problem) => problem.sentence).join('\n'));
    this.name = 'ConfigError';
  }
}
