import type { Stripe } from 'stripe';
import type { DisbursementPort, TransferReversal } from '#contracts';
import { lookUp, outcomeOf } from './failure.js';
import { accountOf, amountOf, centsOf, idOf, REFERENCE, referenceOf, transferOf } from './translate.js';

const PAGE = 100;

const reversalOf = (reversal: Stripe.TransferReversal): TransferReversal => ({
  id: reversal.id,
  transferId: idOf(reversal.transfer) ?? '',
  amountCents: centsOf(reversal.amount),
});

/** Paying providers by Stripe Connect: accounts, transfers and their reversals. */
export function disbursement(stripe: Stripe): DisbursementPort {
  return {
    createAccount: ({ key, reference, country, email }) =>
      outcomeOf(async () =>
        accountOf(
          await stripe.accounts.create(
            {
              type: 'express',
              country,
              ...(email === null ? {} : { email }),
              capabilities: { transfers: { requested: true } },
              metadata: { [REFERENCE]: reference },
            },
            { idempotencyKey: key },
          ),
        ),
      ),
    getAccount: (id) => lookUp(async () => accountOf(await stripe.accounts.retrieve(id))),
    findAccount: (reference) =>
      lookUp(async () => {
        for await (const account of stripe.accounts.list({ limit: PAGE })) {
          if (referenceOf(account) === reference) return accountOf(account);
        }
        return null;
      }),
    accountLink: ({ accountId, returnUrl, refreshUrl }) =>
      outcomeOf(async () => {
        const link = await stripe.accountLinks.create({
          account: accountId,
          type: 'account_onboarding',
          return_url: returnUrl,
          refresh_url: refreshUrl,
        });
        return { url: link.url, expiresAtMs: link.expires_at * 1_000 };
      }),
    transfer: ({ key, reference, accountId, amountCents }) =>
      outcomeOf(async () =>
        transferOf(
          await stripe.transfers.create(
            {
              amount: amountOf(amountCents),
              currency: 'usd',
              destination: accountId,
              // The one thing of ours that a list of transfers can be asked for.
              transfer_group: reference,
              metadata: { [REFERENCE]: reference },
            },
            { idempotencyKey: key },
          ),
        ),
      ),
    getTransfer: (id) => lookUp(async () => transferOf(await stripe.transfers.retrieve(id))),
    transfersSince: (sinceMs) =>
      lookUp(async () => {
        const found = [];
        const created = { gte: Math.floor(sinceMs / 1_000) };
        for await (const transfer of stripe.transfers.list({ created, limit: PAGE })) found.push(transferOf(transfer));
        return found;
      }),
    findTransfer: (reference) =>
      lookUp(async () => {
        const [found] = (await stripe.transfers.list({ transfer_group: reference, limit: 1 })).data;
        return found ? transferOf(found) : null;
      }),
    reverseTransfer: ({ key, reference, transferId, amountCents }) =>
      outcomeOf(async () =>
        reversalOf(
          await stripe.transfers.createReversal(
            transferId,
            { amount: amountOf(amountCents), metadata: { [REFERENCE]: reference } },
            { idempotencyKey: key },
          ),
        ),
      ),
    findReversal: (transferId, reference) =>
      lookUp(async () => {
        for await (const reversal of stripe.transfers.listReversals(transferId, { limit: PAGE })) {
          if (referenceOf(reversal) === reference) return reversalOf(reversal);
        }
        return null;
      }),
    availableCents: () =>
      lookUp(async () => {
        const { available } = await stripe.balance.retrieve();
        return available.filter((a) => a.currency === 'usd').reduce((sum, a) => sum + centsOf(a.amount), 0n);
      }),
  };
}
