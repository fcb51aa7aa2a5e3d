import { z } from 'zod';
import { idOf, isoTime, nanoUsdText } from '#contracts';
import {
  disputeReasons,
  disputeStates,
  movementKinds,
  payoutAccountStates,
  payoutMethods,
  payoutStates,
  type DisputeRow,
  type PayoutAccountRow,
  type PayoutRow,
  type ProviderBalance,
  type ProviderTerms,
  type StatementLineRow,
  type StatementRow,
  type StatementView,
} from '#money/payouts';
import { timeText } from '../shapes.js';
import { centsText } from './invoice-shapes.js';

export const monthText = z.string().regex(/^\d{4}-(0[1-9]|1[0-2])$/, 'must be a month such as 2026-11');
export const monthMs = (month: string): number => Date.parse(`${month}-01T00:00:00Z`);

export const payoutSchema = z
  .object({
    id: idOf('payout'),
    providerId: z.string(),
    statementId: z.string(),
    state: z.enum(payoutStates),
    amountCents: centsText,
    method: z.enum(payoutMethods),
    reference: z.string().nullable().describe('What the bank calls it, when it was paid by hand'),
    message: z.string().nullable().describe('Why it failed, was canceled or was taken back'),
    createdAt: isoTime,
    paidAt: isoTime.nullable(),
    reversedCents: centsText.describe('What of it came back'),
    reversedAt: isoTime.nullable(),
  })
  .meta({ id: 'Payout' });

export function showPayout(row: PayoutRow): z.input<typeof payoutSchema> {
  const { providerId, statementId, state, method, reference, message } = row;
  return {
    id: row.id as z.input<typeof payoutSchema>['id'],
    providerId,
    statementId,
    state,
    amountCents: String(row.amountCents),
    method,
    reference,
    message,
    createdAt: timeText(row.proposedAt),
    paidAt: timeText(row.paidAt),
    reversedCents: String(row.reversedCents),
    reversedAt: timeText(row.reversedAt),
  };
}

const statementFields = {
  id: idOf('payoutStatement'),
  number: z.string().nullable().describe('Null of a preview'),
  providerId: z.string(),
  provider: z.string(),
  periodStart: isoTime,
  periodEnd: isoTime,
  issuedAt: isoTime.nullable().describe('Null of a preview'),
  openingCents: centsText,
  closingCents: centsText.describe('What remains due: the opening balance and all lines'),
  accrued: nanoUsdText.describe('What was earned'),
  payoutCents: centsText.describe('What is paid out by it'),
  heldBack: nanoUsdText.describe('Kept back for a time, and not in the closing balance'),
  disputed: nanoUsdText.describe('In dispute, and not in the closing balance'),
};
export const statementSchema = z.object(statementFields).meta({ id: 'PayoutStatement' });
export const statementWithLines = z
  .object({
    ...statementFields,
    lines: z.array(
      z.object({
        kind: z.enum(movementKinds),
        day: z.string(),
        leaseId: z.string().nullable(),
        sku: z.string().nullable(),
        resource: z.string().nullable(),
        meter: z.string().nullable(),
        unit: z.string().nullable(),
        quantity: z.string().nullable(),
        reference: z.string().nullable().describe('What a movement belongs to'),
        note: z.string(),
        amount: nanoUsdText.describe('Exact'),
        cents: centsText.describe('The lines add up to closing less opening balance'),
      }),
    ),
  })
  .meta({ id: 'PayoutStatementWithLines' });

export function showStatement(row: StatementRow): z.input<typeof statementSchema> {
  const issued = row.number !== '';
  return {
    id: row.id as z.input<typeof statementSchema>['id'],
    number: issued ? row.number : null,
    providerId: row.providerId,
    provider: row.providerName,
    periodStart: timeText(row.periodStart),
    periodEnd: timeText(row.periodEnd),
    issuedAt: issued ? timeText(row.issuedAt) : null,
    openingCents: String(row.openingCents),
    closingCents: String(row.closingCents),
    accrued: String(row.accruedNano),
    payoutCents: String(row.payoutCents),
    heldBack: String(row.heldBackNano),
    disputed: String(row.disputedNano),
  };
}

export function showView({ row, lines }: StatementView): z.input<typeof statementWithLines> {
  return { ...showStatement(row), lines: lines.map(showLine) };
}

function showLine(line: StatementLineRow) {
  const { kind, leaseId, sku, resource, meter, unit, quantity, reference, note, amountNano, cents } = line;
  return {
    kind,
    day: new Date(line.dayStart).toISOString().slice(0, 10),
    leaseId,
    sku,
    resource,
    meter,
    unit,
    quantity: quantity === null ? null : String(quantity),
    reference,
    note,
    amount: String(amountNano),
    cents: String(cents),
  };
}

export const balanceSchema = z
  .object({
    providers: z.array(
      z.object({
        providerId: z.string(),
        accrued: nanoUsdText.describe('Used, and on no statement yet'),
        due: nanoUsdText.describe('On statements and not paid out; below zero it is taken from the next'),
        heldBack: nanoUsdText,
        disputed: nanoUsdText,
      }),
    ),
  })
  .meta({ id: 'PayoutBalance' });

export function showBalance(rows: readonly ProviderBalance[]): z.input<typeof balanceSchema> {
  return {
    providers: rows.map((b) => ({
      providerId: b.providerId,
      accrued: String(b.accruedNano),
      due: String(b.dueNano),
      heldBack: String(b.holdbackNano),
      disputed: String(b.disputedNano),
    })),
  };
}

export const disputeSchema = z
  .object({
    id: idOf('payoutDispute'),
    providerId: z.string(),
    leaseId: z.string().nullable(),
    state: z.enum(disputeStates),
    reason: z.enum(disputeReasons),
    note: z.string(),
    amount: nanoUsdText,
    resolution: z.string().nullable(),
    createdAt: isoTime,
    resolvedAt: isoTime.nullable(),
  })
  .meta({ id: 'PayoutDispute' });

export function showDispute(row: DisputeRow): z.input<typeof disputeSchema> {
  const { providerId, leaseId, state, reason, note, resolution } = row;
  return {
    id: row.id as z.input<typeof disputeSchema>['id'],
    providerId,
    leaseId,
    state,
    reason,
    note,
    amount: String(row.amountNano),
    resolution,
    createdAt: timeText(row.createdAt),
    resolvedAt: timeText(row.resolvedAt),
  };
}

export const accountSchema = z
  .object({
    id: idOf('payoutAccount'),
    state: z.enum(payoutAccountStates).describe('ready: it may be paid to'),
    country: z.string(),
    email: z.string().nullable(),
    requirements: z.array(z.string()).describe('What the payment processor still wants to know'),
    message: z.string().nullable(),
    createdAt: isoTime,
  })
  .meta({ id: 'PayoutAccount' });

export function showAccount(row: PayoutAccountRow): z.input<typeof accountSchema> {
  const { state, country, email, requirements, message } = row;
  const id = row.id as z.input<typeof accountSchema>['id'];
  return { id, state, country, email, requirements, message, createdAt: timeText(row.createdAt) };
}

export const termsFields = {
  holdbackBps: z.int().min(0).max(10_000).describe('Hundredths of a percent of each statement’s accruals'),
  holdbackDays: z.int().min(0).max(365).describe('Days from the period’s end'),
  minimumCents: centsText
    .refine((t) => BigInt(t) > 0n, 'must be at least one cent')
    .describe('What is due below this carries over'),
  autoDispute: z.boolean().describe('Failed starts and lost machines open disputes by themselves'),
  autoPay: z.boolean().describe('Transfers go out without approval'),
  method: z.enum(payoutMethods),
};
export const termsSchema = z
  .object({
    providerId: z.string(),
    provider: z.string(),
    ...termsFields,
    updatedAt: isoTime.nullable().describe('Null: those of its kind'),
  })
  .meta({ id: 'PayoutTerms' });

export function showTerms({ provider, terms, updatedAt }: ProviderTerms): z.input<typeof termsSchema> {
  const { holdbackBps, holdbackDays, minimumCents, autoDispute, autoPay, method } = terms;
  return {
    providerId: provider.id,
    provider: provider.name,
    holdbackBps,
    holdbackDays,
    minimumCents: String(minimumCents),
    autoDispute,
    autoPay,
    method,
    updatedAt: timeText(updatedAt),
  };
}
