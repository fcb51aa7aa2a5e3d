/** What a route with `csv` answers where the caller asks for comma-separated values. */
export class CsvAnswer {
  constructor(
    readonly text: string,
    readonly fileName: string,
  ) {}
}

/** Whether an `Accept` header would rather have CSV than JSON; what it names without a weight it likes best. */
export function asksCsv(accept: string | undefined): boolean {
  const liked = (type: string): number =>
    (accept ?? '').split(',').reduce((best, part) => {
      const [name = '', ...parameters] = part.split(';').map((t) => t.trim().toLowerCase());
      const weight = parameters.find((t) => t.startsWith('q='))?.slice(2);
      return name === type ? Math.max(best, weight === undefined ? 1 : Number(weight) || 0) : best;
    }, 0);
  return liked('text/csv') > liked('application/json');
}
