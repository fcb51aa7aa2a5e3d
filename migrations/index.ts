import { CreateBroker1763700000000 } from './1763700000000-CreateBroker.js';
import { AddMoneyFunctions1763800000000 } from './1763800000000-AddMoneyFunctions.js';
import { SealLedger1763900000000 } from './1763900000000-SealLedger.js';
import { AddUsage1764000000000 } from './1764000000000-AddUsage.js';
import { AddAuditLog1764100000000 } from './1764100000000-AddAuditLog.js';
import { AddInvoicing1764100000001 } from './1764100000001-AddInvoicing.js';
import { AddPayments1764200000000 } from './1764200000000-AddPayments.js';
import { AddQuotas1764300000000 } from './1764300000000-AddQuotas.js';
import { AddPriceBook1764400000000 } from './1764400000000-AddPriceBook.js';
import { AddOrphans1764450000000 } from './1764450000000-AddOrphans.js';
import { AddUsageEvents1764460000000 } from './1764460000000-AddUsageEvents.js';
import { AddUsageRollups1764470000000 } from './1764470000000-AddUsageRollups.js';
import { AddVendorInvoices1764480000000 } from './1764480000000-AddVendorInvoices.js';
import { AddPayouts1764500000000 } from './1764500000000-AddPayouts.js';
import { CloseDocuments1764560000000 } from './1764560000000-CloseDocuments.js';
import { AddDisputes1764570000000 } from './1764570000000-AddDisputes.js';
import { AddReliability1764600000000 } from './1764600000000-AddReliability.js';
import { AddHoldGroups1764660000000 } from './1764660000000-AddHoldGroups.js';
import { AddCatalogChanges1764700000000 } from './1764700000000-AddCatalogChanges.js';
import { AddOfferListings1764710000000 } from './1764710000000-AddOfferListings.js';
import { AddStorage1764720000000 } from './1764720000000-AddStorage.js';
import { AddTokenBilling1764730000000 } from './1764730000000-AddTokenBilling.js';
import { AddJobDeadlines1764735000000 } from './1764735000000-AddJobDeadlines.js';
import { ForgetPriceEvents1764740000000 } from './1764740000000-ForgetPriceEvents.js';
import { AddServingSpeeds1764760000000 } from './1764760000000-AddServingSpeeds.js';
import { AddOfferQuarantine1764790000000 } from './1764790000000-AddOfferQuarantine.js';
import { AddGpuParts1765100000000 } from './1765100000000-AddGpuParts.js';
import { AddReservations1765200000000 } from './1765200000000-AddReservations.js';
import { AddPartialReversals1765400000000 } from './1765400000000-AddPartialReversals.js';
import { AddQuotes1764800000000 } from './1764800000000-AddQuotes.js';
import { AddProjectCommitments1765410000000 } from './1765410000000-AddProjectCommitments.js';
import { CountSpending1765420000000 } from './1765420000000-CountSpending.js';
import { KeepNamedFiles1765430000000 } from './1765430000000-KeepNamedFiles.js';
import { FadeStrikes1765500000000 } from './1765500000000-FadeStrikes.js';
import { AddGangEvidence1765520000000 } from './1765520000000-AddGangEvidence.js';
import { CarryOwed1765530000000 } from './1765530000000-CarryOwed.js';
import { CarryRates1765440000000 } from './1765440000000-CarryRates.js';

/** In the order of their timestamps; a released migration is never edited. */
export const migrations = [
  CreateBroker1763700000000,
  AddMoneyFunctions1763800000000,
  SealLedger1763900000000,
  AddUsage1764000000000,
  AddAuditLog1764100000000,
  AddInvoicing1764100000001,
  AddPayments1764200000000,
  AddQuotas1764300000000,
  AddPriceBook1764400000000,
  AddOrphans1764450000000,
  AddUsageEvents1764460000000,
  AddUsageRollups1764470000000,
  AddVendorInvoices1764480000000,
  AddPayouts1764500000000,
  CloseDocuments1764560000000,
  AddDisputes1764570000000,
  AddReliability1764600000000,
  AddHoldGroups1764660000000,
  AddCatalogChanges1764700000000,
  AddOfferListings1764710000000,
  AddStorage1764720000000,
  AddTokenBilling1764730000000,
  AddJobDeadlines1764735000000,
  ForgetPriceEvents1764740000000,
  AddServingSpeeds1764760000000,
  AddOfferQuarantine1764790000000,
  AddQuotes1764800000000,
  AddGpuParts1765100000000,
  AddReservations1765200000000,
  AddPartialReversals1765400000000,
  AddProjectCommitments1765410000000,
  CountSpending1765420000000,
  KeepNamedFiles1765430000000,
  CarryRates1765440000000,
  FadeStrikes1765500000000,
  AddGangEvidence1765520000000,
  CarryOwed1765530000000,
];
