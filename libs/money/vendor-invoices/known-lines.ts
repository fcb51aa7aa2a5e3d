import { DomainError } from '#kernel';
import type { Tx } from '#platform/database';
import { badLines, type LineProblem, type VendorLine } from './read/index.js';
import { vendorInvoiceLines } from './vendor-invoices.table.js';

const AT_ONCE = 1_000;

/**
 * Lines that no earlier invoice of the provider had. One that is known and says the same is left out and counted; one that says
 * something else under a known id cannot be counted beside the first: it stops the import, or is skipped.
 */
export async function newLines(
  tx: Tx,
  providerId: string,
  lines: readonly VendorLine[],
  onConflict: 'stop' | 'skip',
): Promise<{ fresh: VendorLine[]; known: number; problems: LineProblem[] }> {
  const seen = new Map<string, { digest: string; where: string }>();
  const fresh: VendorLine[] = [];
  const problems: LineProblem[] = [];
  let known = 0;
  for (let at = 0; at < lines.length; at += AT_ONCE) {
    const some = lines.slice(at, at + AT_ONCE);
    for (const row of await tx.find(vendorInvoiceLines, { providerId, key: { in: some.map((l) => l.key) } }))
      seen.set(row.key, { digest: row.digest, where: `line ${row.n} of ${row.invoiceId}` });
    for (const line of some) {
      const before = seen.get(line.key);
      if (!before) {
        seen.set(line.key, { digest: line.digest, where: `line ${line.n} of this file` });
        fresh.push(line);
      } else if (before.digest === line.digest) known++;
      else problems.push(conflict(line, before.where));
    }
  }
  if (onConflict === 'stop' && problems.length > 0) throw badLines(problems.slice(0, 20));
  if (fresh.length === 0)
    throw new DomainError('conflict', 'nothing-new', `All ${known} lines of the file were imported before.`, {
      fix: 'List vendor invoices to find the import that has them.',
    });
  return { fresh, known, problems };
}

const conflict = (line: VendorLine, where: string): LineProblem => ({
  line: line.n,
  message: `its id is that of ${where}, which says something else`,
  fix: 'Import a bill when it is final; give corrections ids of their own.',
});
