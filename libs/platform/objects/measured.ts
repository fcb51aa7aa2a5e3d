import { createHash } from 'node:crypto';
import { DomainError } from '#kernel';
import type { ObjectBody, StoredObject } from './object-store.js';

/** A body that is hashed and counted while it flows; `result` is there when it has been read to its end. */
export interface MeasuredBody {
  readonly chunks: AsyncIterable<Uint8Array>;
  result(): StoredObject;
}

/** Throws out of `chunks` as soon as the body is longer than promised, or at its end when it is shorter. */
export function measured(body: ObjectBody, promisedBytes: number | undefined): MeasuredBody {
  const hash = createHash('sha256');
  let bytes = 0;
  let sha256: string | undefined;
  async function* flow(): AsyncGenerator<Uint8Array> {
    // One chunk is held back: nobody downstream gets the last one, and takes the object for whole, before the end is right.
    let held: Uint8Array | undefined;
    for await (const chunk of body instanceof Uint8Array ? [body] : body) {
      bytes += chunk.byteLength;
      if (promisedBytes !== undefined && bytes > promisedBytes) throw lengthDiffers(promisedBytes, 'more than that');
      hash.update(chunk);
      if (chunk.byteLength === 0) continue;
      if (held) yield held;
      held = chunk;
    }
    if (promisedBytes !== undefined && bytes !== promisedBytes) throw lengthDiffers(promisedBytes, `${bytes}`);
    sha256 = hash.digest('hex');
    if (held) yield held;
  }
  return {
    chunks: flow(),
    result: () => {
      if (sha256 === undefined) throw new Error('the body has not been read to its end');
      return { sha256, bytes };
    },
  };
}

function lengthDiffers(promised: number, came: string): DomainError {
  return new DomainError('invalid', 'length-differs', `The body was to have ${promised} bytes but came with ${came}.`);
}
