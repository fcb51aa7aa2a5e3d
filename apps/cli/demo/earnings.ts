import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { answerOf, brokerClient, getPayoutBalance, previewPayoutStatement } from '#client';
import { rowsText } from '../output.js';
import { rawRequest } from '../session.js';
import { dollars, quantityText } from '../text.js';
import { small } from './batch.js';
import type { Stage } from './stage.js';

const TABLE = { json: false, csv: false, quiet: false, table: true } as const;
const NANO_PER_CENT = 10_000_000n;

export interface Earnings {
  readonly providerId: string;
  readonly accrued: string;
  readonly heldBack: string;
  readonly payoutCents: string;
  readonly closingCents: string;
  /** Where the statement lies as PDF. */
  readonly pdf: string;
}

/** What this machine earned as a host: the statement of its provider as it would be if the month were over now. */
export async function earnings(stage: Stage, home: string, url: string, platformKey: string): Promise<Earnings> {
  return stage.step('The other side: what this machine earned as a host', async (tell) => {
    const client = brokerClient({ url, key: platformKey });
    const { providers } = await answerOf(getPayoutBalance({ client }));
    const [host] = providers.toSorted((a, b) => (BigInt(a.accrued) > BigInt(b.accrued) ? -1 : 1));
    if (!host) throw new Error('there is no provider');
    const query = { providerId: host.providerId as `prv_${string}` };
    const statement = await answerOf(previewPayoutStatement({ client, query }));
    tell.found(
      rowsText(
        statement.lines.slice(0, 12),
        [
          { title: 'day', of: (l) => l.day },
          { title: 'kind', of: (l) => l.kind },
          { title: 'what', of: (l) => l.resource ?? l.note },
          {
            title: 'quantity',
            of: (l) => (l.quantity === null ? '' : quantityText(l.quantity, l.unit ?? '')),
            right: true,
          },
          { title: 'exact', of: (l) => small(l.amount), right: true },
          { title: 'stated', of: (l) => dollars(BigInt(l.cents) * NANO_PER_CENT), right: true },
        ],
        TABLE,
      ),
    );
    const { accrued, heldBack, payoutCents, closingCents } = statement;
    const rest =
      payoutCents === '0'
        ? `${dollars(BigInt(closingCents) * NANO_PER_CENT)} is due and below the least that is paid out: it carries over`
        : `${dollars(BigInt(payoutCents) * NANO_PER_CENT)} is paid out`;
    tell.found(
      `Draft statement of ${statement.provider}: ${small(accrued)} earned, ${small(heldBack)} kept back; ${rest}.`,
    );
    const month = statement.periodStart.slice(0, 7);
    const pdf = join(home, 'payouts', `${statement.number ?? `draft-${month}`}.pdf`);
    await mkdir(dirname(pdf), { recursive: true });
    const answer = await rawRequest(
      { url, key: platformKey },
      'GET',
      `/v1/payouts/preview/pdf?providerId=${host.providerId}`,
    );
    await writeFile(pdf, new Uint8Array(await answer.arrayBuffer()));
    tell.found(`As PDF: ${pdf}. The statement itself is made two days after the month is over, with a number.`);
    return { providerId: host.providerId, accrued, heldBack, payoutCents, closingCents, pdf };
  });
}
