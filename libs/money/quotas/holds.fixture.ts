import { expect } from '@jest/globals';
import fc from 'fast-check';
import { account } from '#money/ledger';
import type { Tenant, Till } from '#testing/till';
import { holds, type HoldRow } from './index.js';

interface ModelHold {
  parent: ModelHold | null;
  open: boolean;
  remaining: bigint;
  amount: bigint;
}

/** Holds as plain arithmetic: what the room must agree with after every step. */
export interface HoldsModel {
  available: bigint;
  balance: bigint;
  readonly holds: ModelHold[];
}

export interface HoldsReal {
  readonly till: Till;
  readonly tenant: Tenant;
  readonly rows: HoldRow[];
  posted: number;
}

type Command = fc.AsyncCommand<HoldsModel, HoldsReal>;

const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);

/** The hold that the number points at, in the model and for real; later ones as often as earlier ones. */
function at<T>(list: readonly T[], i: number): T {
  const found = list[i % list.length];
  if (found === undefined) throw new Error('no hold yet');
  return found;
}

abstract class OnHold implements Command {
  constructor(
    protected readonly i: number,
    protected readonly amount: bigint,
  ) {}
  check(model: Readonly<HoldsModel>): boolean {
    return model.holds.length > 0;
  }
  async run(model: HoldsModel, real: HoldsReal): Promise<void> {
    await this.step(model, real, at(model.holds, this.i), at(real.rows, this.i));
    await agree(model, real);
  }
  protected abstract step(model: HoldsModel, real: HoldsReal, hold: ModelHold, row: HoldRow): Promise<void>;
  toString(): string {
    return `${this.constructor.name}(${this.i}, ${this.amount})`;
  }
}

class Take extends OnHold {
  override check(): boolean {
    return true;
  }
  override async run(model: HoldsModel, real: HoldsReal): Promise<void> {
    const taken = real.till.tx((tx) => real.till.holds.take(tx, { ...real.tenant, amountNano: this.amount }));
    if (this.amount > model.available) {
      await expect(taken).rejects.toMatchObject({
        code: 'insufficient-credit',
        details: { facts: { missingNano: String(this.amount - model.available) } },
      });
    } else {
      real.rows.push(await taken);
      model.holds.push({ parent: null, open: true, remaining: this.amount, amount: this.amount });
      model.available -= this.amount;
    }
    await agree(model, real);
  }
  protected override step(): Promise<void> {
    return Promise.resolve();
  }
}

class Carve extends OnHold {
  protected override async step(
    model: HoldsModel,
    { till, rows }: HoldsReal,
    hold: ModelHold,
    row: HoldRow,
  ): Promise<void> {
    const carved = await till.tx((tx) => till.holds.carve(tx, row.id, 'lease_spec', this.amount));
    expect(carved !== null).toBe(hold.open && this.amount <= hold.remaining);
    if (carved === null) return;
    rows.push(carved);
    hold.remaining -= this.amount;
    model.holds.push({ parent: hold, open: true, remaining: this.amount, amount: this.amount });
  }
}

class Extend extends OnHold {
  protected override async step(_model: HoldsModel, { till }: HoldsReal, hold: ModelHold, row: HoldRow): Promise<void> {
    const moved = await till.tx((tx) => till.holds.extend(tx, row, this.amount));
    const { parent } = hold;
    const wanted = hold.open && parent?.open ? least(this.amount, parent.remaining) : 0n;
    expect(moved).toBe(wanted);
    if (parent) parent.remaining -= moved;
    hold.remaining += moved;
    hold.amount += moved;
  }
}

class Spend extends OnHold {
  protected override async step(model: HoldsModel, real: HoldsReal, hold: ModelHold, row: HoldRow): Promise<void> {
    const { till, tenant } = real;
    const spent = await till.tx(async (tx) => {
      if (!(await till.holds.spend(tx, row.id, this.amount))) return false;
      await till.ledger.post(tx, {
        idempotencyKey: `spend:${tenant.organizationId}:${real.posted++}`,
        kind: 'usage',
        organizationId: tenant.organizationId,
        reference: row.id,
        entries: [
          { accountId: account.credit(tenant.organizationId), amountNano: -this.amount, from: 'held' },
          { accountId: account.revenue, amountNano: this.amount },
        ],
      });
      return true;
    });
    expect(spent).toBe(this.amount === 0n || (hold.open && this.amount <= hold.remaining));
    if (!spent) return;
    hold.remaining -= this.amount;
    model.balance -= this.amount;
  }
}

class Settle extends OnHold {
  protected override async step(model: HoldsModel, { till }: HoldsReal, hold: ModelHold, row: HoldRow): Promise<void> {
    await till.tx((tx) => till.holds.settle(tx, row.id));
    if (!hold.open) return;
    hold.open = false;
    if (hold.parent?.open) hold.parent.remaining += hold.remaining;
    else model.available += hold.remaining;
    hold.remaining = 0n;
  }
}

async function agree(model: HoldsModel, { till, tenant, rows }: HoldsReal): Promise<void> {
  const { credit, found } = await till.tx(async (tx) => ({
    credit: await till.ledger.creditOf(tx, tenant.organizationId),
    found: new Map((await tx.find(holds, { organizationId: tenant.organizationId })).map((h) => [h.id, h] as const)),
  }));
  const held = model.holds.reduce((n, h) => n + h.remaining, 0n);
  expect([credit.availableNano, credit.heldNano, credit.balanceNano]).toEqual([model.available, held, model.balance]);
  expect(model.available + held).toBe(model.balance);
  expect(rows.map((r) => found.get(r.id)).map((h) => [h?.state === 'held', h?.remainingNano, h?.amountNano])).toEqual(
    model.holds.map((h) => [h.open, h.remaining, h.amount]),
  );
  expect(found.size).toBe(model.holds.length);
}

/** Any sequence of what callers may do with holds, amounts small enough to collide often with what is left. */
export function holdCommands(): fc.Arbitrary<Iterable<Command>> {
  const i = fc.nat(50);
  const amount = fc.bigInt({ min: 0n, max: 60n });
  return fc.commands(
    [
      fc.tuple(i, amount).map(([n, a]) => new Take(n, a)),
      fc.tuple(i, amount).map(([n, a]) => new Carve(n, a)),
      fc.tuple(i, amount).map(([n, a]) => new Extend(n, a)),
      fc.tuple(i, amount).map(([n, a]) => new Spend(n, a)),
      fc.tuple(i, amount).map(([n, a]) => new Settle(n, a)),
    ],
    { maxCommands: 25 },
  );
}
