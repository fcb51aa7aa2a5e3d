import type { OfferView, Workload } from '#contracts';
import { table } from '#platform/database';
import type { ChargeTerms } from '#money/rating';

/** What a tenant was promised; never changed, but for the job that uses it. */
export interface QuoteRow {
  id: string;
  organizationId: string;
  projectId: string;
  placementId: string;
  providerId: string;
  offerId: string;
  /** As it was when it was quoted. */
  offer: OfferView;
  workload: Workload;
  /** The vendor's price then. */
  costPerHour: bigint;
  chargePerHour: bigint;
  terms: ChargeTerms;
  expectedS: number;
  createdAt: number;
  expiresAt: number;
  jobId: string | null;
  usedAt: number | null;
}

export const quotes = table<QuoteRow>(
  'quotes',
  {
    id: 'text',
    organizationId: 'text',
    projectId: 'text',
    placementId: 'text',
    providerId: 'text',
    offerId: 'text',
    offer: 'json',
    workload: 'json',
    costPerHour: 'bigint',
    chargePerHour: 'bigint',
    terms: 'json',
    expectedS: 'float',
    createdAt: 'time',
    expiresAt: 'time',
    jobId: 'text',
    usedAt: 'time',
  },
  { key: ['id'], unique: [['jobId']] },
);
