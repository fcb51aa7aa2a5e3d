import type { Clock } from '#kernel';
import {
  VendorError,
  type CreateOutcome,
  type CreateRequest,
  type Offer,
  type ProviderDescription,
  type ProviderPort,
  type VendorMachine,
} from '#contracts';
import type { SandboxCloud } from './cloud.js';
import {
  installTag,
  toCloudCreate,
  toCreateOutcome,
  toOffer,
  toVendorError,
  toVendorMachine,
  tooLateToSend,
} from './translate.js';
import type { Answer } from './wire.js';

/** The provider port straight onto the core, without HTTP: what the simulator rents from. */
export function sandboxPort(
  cloud: SandboxCloud,
  options: { readonly providerId: string; readonly clock: Clock },
): ProviderPort {
  const { providerId, clock } = options;
  return {
    describe: (): ProviderDescription => describeCloud(cloud),

    async *listOffers(): AsyncGenerator<Offer> {
      const { offers } = valueOf(cloud.offers());
      for (const offer of offers) yield toOffer(offer, providerId, clock.now());
    },

    async create(request: CreateRequest): Promise<CreateOutcome> {
      // No await between the check and the call: nothing can stall in between.
      if (clock.now() >= request.sendBeforeMs) return tooLateToSend(request.sendBeforeMs, clock.now());
      const answer = cloud.create(toCloudCreate(request));
      if (answer.kind === 'done') return { kind: 'created', machine: toVendorMachine(answer.value) };
      if (answer.kind === 'refused') return toCreateOutcome(answer.refusal);
      return { kind: 'unknown', reason: 'the answer was lost' };
    },

    async get(vendorId: string): Promise<VendorMachine | null> {
      const answer = cloud.get(vendorId);
      if (answer.kind === 'refused' && answer.refusal.code === 'not_found') return null;
      return toVendorMachine(valueOf(answer));
    },

    async *list(installId: string): AsyncGenerator<VendorMachine> {
      const seen = new Set<string>();
      for (let cursor: string | null | undefined; cursor !== null;) {
        const page = valueOf(cloud.list(`${installTag}=${installId}`, cursor === undefined ? {} : { cursor }));
        for (const view of page.items) {
          if (seen.has(view.id)) continue;
          seen.add(view.id);
          yield toVendorMachine(view);
        }
        cursor = page.nextCursor;
      }
    },

    async terminate(vendorId: string): Promise<void> {
      const answer = cloud.terminate(vendorId);
      if (answer.kind === 'refused' && answer.refusal.code === 'not_found') return;
      if (answer.kind === 'lost') throw new VendorError('outcome-unknown', 'offer', 'the answer to terminate was lost');
      valueOf(answer);
    },

    async probe(): Promise<void> {
      valueOf(cloud.account());
    },
  };
}

/** What the port says of a sandbox cloud with these settings. */
export function describeCloud({ settings }: Pick<SandboxCloud, 'settings'>): ProviderDescription {
  return {
    name: 'sandbox',
    clientTokens: settings.clientTokens,
    consistencyWindowMs: settings.windowMs,
    synchronousTerminate: settings.stopMs === 0,
    billing: settings.billing,
  };
}

function valueOf<T>(answer: Answer<T>): T {
  if (answer.kind === 'done') return answer.value;
  if (answer.kind === 'refused') throw toVendorError(answer.refusal);
  throw new VendorError('transient', 'account', 'the answer was lost');
}
