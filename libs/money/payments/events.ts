import type { PaymentEvent } from '#contracts';
import type { Tx } from '#platform/database';
import type { WakeQueue } from '#platform/reconcile';
import { paymentStates, type PaymentState } from './machines.js';
import { paymentEvents, payments, paymentSetups, refunds } from './payments.table.js';

/** What a room does about an event of its own objects; answers the id of the row that it woke, or null. */
export type EventEffect = (tx: Tx, event: PaymentEvent) => Promise<string | null>;

export const TAKES_BACK = /^(charge\.refunded|charge\.(refund|dispute)\.|refund\.)/;

const booked: readonly PaymentState[] = ['settled', 'disputed', 'charged_back'];

interface Woken {
  readonly kind: string;
  readonly id: string;
}

/**
 * The event's id and its effect are one transaction: a second delivery changes nothing. The effect is only that the row looks at its
 * object anew, so events may come in any order, late, or never.
 */
export async function takeEvent(
  tx: Tx,
  event: PaymentEvent,
  others: readonly EventEffect[],
  wake: WakeQueue,
): Promise<boolean> {
  const now = await tx.now();
  const { id, type, objectId, reference, paymentId = null, createdAtMs: createdAt } = event;
  const [fresh] = await tx.insertNew(paymentEvents, [
    { id, type, objectId, reference, paymentId, createdAt, receivedAt: now, woke: null },
  ]);
  if (!fresh) return false;
  const woken = await wakeOwn(tx, event, now);
  let woke = woken?.id ?? null;
  for (const effect of others) woke ??= await effect(tx, event);
  if (woke !== null) await tx.update(paymentEvents, { id }, { woke });
  if (woken) tx.afterCommit(() => wake.wake(woken.kind, woken.id));
  return true;
}

/** The version rises with the wake time, so that no reconcile in progress writes over it. */
async function wakeOwn(
  tx: Tx,
  { type, objectId, reference, paymentId = null }: PaymentEvent,
  now: number,
): Promise<Woken | null> {
  const poke = { wakeAt: now, version: { add: 1 } };
  // What was declined may have been paid after all.
  const unsettled = { in: paymentStates.filter((state) => !booked.includes(state)) };
  const byPayment = [
    ...(reference === null ? [] : [{ id: reference }]),
    ...(objectId === null ? [] : [{ processorId: objectId }, { pushedId: objectId }]),
  ];
  for (const which of byPayment) {
    const [row] = await tx.update(payments, { ...which, state: unsettled }, poke);
    if (row) return { kind: 'payment', id: row.id };
  }
  const byEffect = [
    ...(reference === null ? [] : [{ id: reference }]),
    ...(objectId === null ? [] : [{ processorId: objectId }]),
  ];
  for (const which of byEffect) {
    const [refund] = await tx.update(refunds, { ...which, state: { not: 'failed' } }, poke);
    if (refund) return { kind: 'refund', id: refund.id };
    const [setup] = await tx.update(
      paymentSetups,
      { ...which, state: { in: ['intended', 'calling', 'unknown', 'retrying', 'open'] } },
      poke,
    );
    if (setup) return { kind: 'payment-setup', id: setup.id };
  }
  // Only what may have taken money back makes a settled payment look again.
  if (paymentId === null || !TAKES_BACK.test(type)) return null;
  const id = await wakeDisputed(tx, paymentId);
  return id === null ? null : { kind: 'payment', id };
}

/** Makes a payment whose money was booked look again at what took it back; its id, or null where there is none. */
export async function wakeDisputed(tx: Tx, processorId: string): Promise<string | null> {
  const poke = { wakeAt: await tx.now(), version: { add: 1 } };
  const [payment] = await tx.update(payments, { processorId, state: { in: booked } }, poke);
  return payment?.id ?? null;
}
