import { table } from '#platform/database';

/**
 * Tokens that an organization was charged for in a calendar month: of all models together (`model` is empty; what the free tier looks at), and of
 * each model beyond the free tier (what roundings go on from).
 */
export interface TokenMonthRow {
  organizationId: string;
  month: number;
  model: string;
  input: bigint;
  cached: bigint;
  output: bigint;
}

export const tokenMonths = table<TokenMonthRow>(
  'token_months',
  { organizationId: 'text', month: 'time', model: 'text', input: 'bigint', cached: 'bigint', output: 'bigint' },
  { key: ['organizationId', 'month', 'model'] },
);
