import type { Offer } from '#contracts';
import { hash32 } from '#kernel';
import { Dictionary } from './dictionary.js';
import {
  labelKey,
  labelOf,
  sameLabel,
  machineKey,
  machineOf,
  sameMachine,
  placeKey,
  placeOf,
  samePlace,
  sellerKey,
  sellerOf,
  sameSeller,
  type Label,
  type Machine,
  type Place,
  type Seller,
} from './parts.js';

export type { Machine, Place, Seller } from './parts.js';

/** Bits of `flags`. */
export const RENTABLE = 1;
export const DOUBTFUL = 2;

const LEAST_CAPACITY = 64;
/** Dictionary entries that may lie about unused before they are thrown out. */
const SPARE_ENTRIES = 1_024;

type Column = Uint8Array | Uint32Array | Int32Array | Float64Array;

interface Columns {
  machine: Uint32Array;
  place: Uint32Array;
  seller: Uint32Array;
  label: Uint32Array;
  pricePerHour: Float64Array;
  observedAtMs: Float64Array;
  confidence: Float64Array;
  stock: Int32Array;
  flags: Uint8Array;
  idHash: Uint32Array;
}

const columnsOf = (capacity: number): Columns => ({
  machine: new Uint32Array(capacity),
  place: new Uint32Array(capacity),
  seller: new Uint32Array(capacity),
  label: new Uint32Array(capacity),
  pricePerHour: new Float64Array(capacity),
  observedAtMs: new Float64Array(capacity),
  confidence: new Float64Array(capacity),
  stock: new Int32Array(capacity),
  flags: new Uint8Array(capacity),
  idHash: new Uint32Array(capacity),
});

/** Offers that came or changed, and the ids of those that went. */
export interface OfferChanges {
  readonly upserts: readonly Offer[];
  readonly removedIds: readonly string[];
}

/**
 * Offers as a struct of arrays, changed in place: dictionaries of distinct machines, places, sellers and labels, and one
 * typed array per field that varies offer by offer. Constraints are tested once per dictionary entry, so a ranking touches
 * each offer for a few nanoseconds only. No offer is kept as an object: `offerAt` puts it together again, equal in every
 * field. Positions are not stable over a change, nor are the columns: whoever scans reads them anew after each.
 */
export class OfferIndex {
  private columns: Columns;
  private ids: string[] = [];
  private readonly positions = new Map<string, number>();
  /** Prices that a double does not hold exactly (beyond nine million dollars per hour), by position. */
  private readonly exactPrices = new Map<number, bigint>();
  private readonly machineParts = new Dictionary<Machine>(machineKey, sameMachine);
  private readonly placeParts = new Dictionary<Place>(placeKey, samePlace);
  private readonly sellerParts = new Dictionary<Seller>(sellerKey, sameSeller);
  private readonly labelParts = new Dictionary<Label>(labelKey, sameLabel);
  private usedEntries = 0;
  private count = 0;

  constructor(capacity = LEAST_CAPACITY) {
    this.columns = columnsOf(Math.max(capacity, LEAST_CAPACITY));
  }

  get size(): number {
    return this.count;
  }
  get machines(): readonly Machine[] {
    return this.machineParts.entries;
  }
  get places(): readonly Place[] {
    return this.placeParts.entries;
  }
  get sellers(): readonly Seller[] {
    return this.sellerParts.entries;
  }
  get labels(): readonly Label[] {
    return this.labelParts.entries;
  }
  get machine(): Uint32Array {
    return this.columns.machine;
  }
  get place(): Uint32Array {
    return this.columns.place;
  }
  get seller(): Uint32Array {
    return this.columns.seller;
  }
  get label(): Uint32Array {
    return this.columns.label;
  }
  /** Nano-dollars per hour; exact up to nine million dollars per hour. */
  get pricePerHour(): Float64Array {
    return this.columns.pricePerHour;
  }
  get observedAtMs(): Float64Array {
    return this.columns.observedAtMs;
  }
  get confidence(): Float64Array {
    return this.columns.confidence;
  }
  /** -1 = unknown. */
  get stock(): Int32Array {
    return this.columns.stock;
  }
  get flags(): Uint8Array {
    return this.columns.flags;
  }
  /** 32-bit hash of the id: tells quickly that an offer is not blocked. */
  get idHash(): Uint32Array {
    return this.columns.idHash;
  }
  /** Size of the typed arrays per offer; ids and dictionaries come on top. */
  get bytesPerOffer(): number {
    return this.all().reduce((sum, [, column]) => sum + column.BYTES_PER_ELEMENT, 0);
  }

  idAt(position: number): string {
    const id = position < this.count ? this.ids[position] : undefined;
    if (id === undefined) throw new RangeError(`the index has no offer ${position}`);
    return id;
  }

  /** The offer at a position, put together from its parts. */
  offerAt(position: number): Offer {
    const id = this.idAt(position);
    const c = this.columns;
    const machine = this.machineParts.entries[c.machine[position] ?? 0];
    const place = this.placeParts.entries[c.place[position] ?? 0];
    const seller = this.sellerParts.entries[c.seller[position] ?? 0];
    const label = this.labelParts.entries[c.label[position] ?? 0];
    if (!machine || !place || !seller || !label) throw new RangeError(`offer ${id} has lost a part`);
    const stock = c.stock[position] ?? -1;
    return {
      id,
      ...machine,
      ...place,
      ...seller,
      ...label,
      pricePerHour: this.exactPrices.get(position) ?? BigInt(c.pricePerHour[position] ?? 0),
      stock: stock < 0 ? null : stock,
      status: (c.flags[position] ?? 0) & RENTABLE ? 'rentable' : 'listed',
      observedAtMs: c.observedAtMs[position] ?? 0,
      confidence: c.confidence[position] ?? 0,
    };
  }

  /** The offer of that id as it is now. */
  find(id: string): Offer | null {
    const position = this.positions.get(id);
    return position === undefined ? null : this.offerAt(position);
  }

  /** Takes in what changed; a few microseconds per offer. The same id twice: the later one counts. */
  apply(changes: OfferChanges): void {
    for (const id of changes.removedIds) this.remove(id);
    for (const offer of changes.upserts) this.put(offer);
    const entries = this.entryCount();
    if (entries > 2 * this.usedEntries + SPARE_ENTRIES) this.compact();
  }

  private put(o: Offer): void {
    let i = this.positions.get(o.id);
    const guess = i ?? this.count - 1;
    if (i === undefined) {
      i = this.count++;
      if (i >= this.columns.machine.length) this.grow();
      this.positions.set(o.id, i);
      this.ids[i] = o.id;
      this.columns.idHash[i] = hash32(o.id);
    }
    const c = this.columns;
    c.machine[i] = this.machineParts.codeOf(o, c.machine[guess] ?? 0, machineOf);
    c.place[i] = this.placeParts.codeOf(o, c.place[guess] ?? 0, placeOf);
    c.seller[i] = this.sellerParts.codeOf(o, c.seller[guess] ?? 0, sellerOf);
    c.label[i] = this.labelParts.codeOf(o, c.label[guess] ?? 0, labelOf);
    const price = Number(o.pricePerHour);
    c.pricePerHour[i] = price;
    if (Number.isSafeInteger(price)) this.exactPrices.delete(i);
    else this.exactPrices.set(i, o.pricePerHour);
    c.observedAtMs[i] = o.observedAtMs;
    c.confidence[i] = o.confidence;
    c.stock[i] = o.stock ?? -1;
    c.flags[i] = (o.status === 'rentable' ? RENTABLE : 0) | (o.doubts.length > 0 ? DOUBTFUL : 0);
  }

  /** The last offer moves into the place of the one that went. */
  private remove(id: string): void {
    const hole = this.positions.get(id);
    if (hole === undefined) return;
    this.positions.delete(id);
    this.exactPrices.delete(hole);
    const last = --this.count;
    const moved = this.ids.pop();
    if (hole === last || moved === undefined) return;
    this.ids[hole] = moved;
    this.positions.set(moved, hole);
    for (const [, column] of this.all()) column[hole] = column[last] ?? 0;
    const exact = this.exactPrices.get(last);
    if (exact !== undefined) {
      this.exactPrices.set(hole, exact);
      this.exactPrices.delete(last);
    }
  }

  private grow(): void {
    const larger = columnsOf(Math.ceil(this.columns.machine.length * 1.5));
    for (const [name, column] of this.all()) larger[name].set(column);
    this.columns = larger;
  }

  private all(): [keyof Columns, Column][] {
    return Object.entries(this.columns) as [keyof Columns, Column][];
  }

  private entryCount(): number {
    return this.machines.length + this.places.length + this.sellers.length + this.labelParts.entries.length;
  }

  /** Machines, places and sellers that no offer has any more would be tested by every ranking. */
  private compact(): void {
    const c = this.columns;
    this.machineParts.keep(c.machine, this.count);
    this.placeParts.keep(c.place, this.count);
    this.sellerParts.keep(c.seller, this.count);
    this.labelParts.keep(c.label, this.count);
    this.usedEntries = this.entryCount();
  }
}

/** An index of these offers; the same id twice: the later one counts. */
export function buildOfferIndex(offers: readonly Offer[]): OfferIndex {
  const index = new OfferIndex(offers.length);
  index.apply({ upserts: offers, removedIds: [] });
  return index;
}

/** The offer at a position of the index. */
export const offerAt = (index: OfferIndex, position: number): Offer => index.offerAt(position);
