import { createHmac } from 'node:crypto';
import type { Clock, Random } from '#kernel';
import type { ApiChecker } from './schema/checker.js';
import type { Obj, Shelf } from './shelf.js';

/** `t=...,v1=...` as Stripe signs what it sends. */
export function signature(secret: string, payload: string, atMs: number): string {
  const t = Math.floor(atMs / 1_000);
  return `t=${t},v1=${createHmac('sha256', secret).update(`${t}.${payload}`).digest('hex')}`;
}

export interface Delivery {
  readonly type: string;
  readonly status: number;
}

/** How events get to us: in any order, more than once, late; what is not answered with 2xx is kept and sent again. */
export interface DeliverOptions {
  readonly shuffle?: Random;
  /** How often each is sent; default once. */
  readonly copies?: number;
  /** Only these; others stay for later. */
  readonly only?: (event: Obj) => boolean;
}

/** Events as Stripe keeps them, and those that are still to be sent. */
export class Webhooks {
  private pending: Obj[] = [];
  /** Where events go to; null: nowhere, they are only kept. */
  target: { readonly send: (payload: string, signature: string) => Promise<number>; readonly secret: string } | null =
    null;

  constructor(
    private readonly clock: Clock,
    private readonly shelf: Shelf,
    private readonly checker: ApiChecker,
    private readonly newId: (prefix: string) => string,
  ) {}

  /** Something happened to the object, which the event shows as it is now. */
  emit(type: string, object: Obj): void {
    const event: Obj = {
      ...this.checker.plainest('Events.AccountUpdatedEvent'),
      id: this.newId('evt'),
      object: 'event',
      api_version: '2026-10-28',
      created: Math.floor(this.clock.now() / 1_000),
      type,
      data: { object: structuredClone(object) },
    };
    this.shelf.put(event);
    this.pending.push(event);
  }

  get waiting(): readonly string[] {
    return this.pending.map((event) => String(event['type']));
  }

  async deliver({ shuffle, copies = 1, only = () => true }: DeliverOptions = {}): Promise<Delivery[]> {
    const { target } = this;
    if (!target) throw new Error('webhooks have no target');
    const chosen = this.pending.filter(only);
    this.pending = this.pending.filter((event) => !chosen.includes(event));
    const sends = chosen.flatMap((event) => Array.from({ length: copies }, () => event));
    if (shuffle) {
      const order = sends.map((event) => ({ event, at: shuffle.float() })).sort((a, b) => a.at - b.at);
      sends.splice(0, sends.length, ...order.map(({ event }) => event));
    }
    const done: Delivery[] = [];
    const refused = new Set<Obj>();
    for (const event of sends) {
      const payload = JSON.stringify(event, null, 2);
      const status = await target.send(payload, signature(target.secret, payload, this.clock.now()));
      done.push({ type: String(event['type']), status });
      if (status < 200 || status >= 300) refused.add(event);
    }
    this.pending.push(...refused);
    return done;
  }
}
