import { Readable } from 'node:stream';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { DomainError } from '#kernel';
import { measured } from './measured.js';
import { checkObjectKey } from './object-key.js';
import {
  objectMissing,
  type ObjectBody,
  type ObjectStore,
  type PutOptions,
  type StoredObject,
} from './object-store.js';

export interface S3Location {
  readonly bucket: string;
  /** Put before every key; empty, or ends with "/". */
  readonly prefix: string;
  readonly region: string;
  readonly endpoint?: string;
  readonly forcePathStyle: boolean;
}

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** A body of unknown length is held in memory up to here, because S3 wants the length first. */
const BUFFER_LIMIT_BYTES = 64 * 1024 * 1024;

const quiet = (): void => undefined;

/** Objects in a bucket of S3 or of a store that speaks like it. Without credentials the SDK's usual places are searched. */
export class S3Store implements ObjectStore {
  private readonly client: S3Client;

  constructor(
    private readonly location: S3Location,
    credentials?: S3Credentials,
    private readonly bufferLimitBytes = BUFFER_LIMIT_BYTES,
  ) {
    this.client = new S3Client({
      region: location.region,
      forcePathStyle: location.forcePathStyle,
      // Many S3-like stores do not know the trailing checksums that the SDK adds by default.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      // Without one the SDK warns on the console about a broken stream, which we throw anyway.
      logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
      ...(location.endpoint === undefined ? {} : { endpoint: location.endpoint }),
      ...(credentials === undefined ? {} : { credentials }),
    });
  }

  async put(key: string, body: ObjectBody, options: PutOptions = {}): Promise<StoredObject> {
    const known = body instanceof Uint8Array ? body.byteLength : options.bytes;
    const flow = measured(body, options.bytes);
    const giveUp = new AbortController();
    let failure: unknown;
    let payload: Uint8Array | Readable;
    if (known === undefined || body instanceof Uint8Array) {
      payload = await this.collect(flow.chunks);
    } else {
      payload = Readable.from(flow.chunks, { objectMode: false });
      // The SDK does not notice a body that breaks off; the request would wait for the rest.
      payload.once('error', (error) => {
        failure = error;
        giveUp.abort();
      });
    }
    const command = new PutObjectCommand({
      ...this.address(key),
      Body: payload,
      ContentLength: payload instanceof Uint8Array ? payload.byteLength : known,
      ContentType: options.contentType ?? 'application/octet-stream',
    });
    try {
      await this.client.send(command, { abortSignal: giveUp.signal });
    } catch (error) {
      throw failure ?? error;
    }
    return flow.result();
  }

  get(key: string): Promise<Readable> {
    return this.read(key);
  }

  async getRange(key: string, from: number, to: number): Promise<Readable> {
    if (to > from) return this.read(key, `bytes=${from}-${to - 1}`);
    if ((await this.head(key)) === null) throw objectMissing(key);
    return Readable.from([]);
  }

  async head(key: string): Promise<{ bytes: number } | null> {
    try {
      const found = await this.client.send(new HeadObjectCommand(this.address(key)));
      return { bytes: found.ContentLength ?? 0 };
    } catch (error) {
      if (statusOf(error) === 404) return null;
      throw error;
    }
  }

  async delete(key: string): Promise<void> {
    await this.client.send(new DeleteObjectCommand(this.address(key)));
  }

  async *list(prefix: string): AsyncGenerator<{ key: string; bytes: number }> {
    const { bucket, prefix: base } = this.location;
    let next: string | undefined;
    do {
      const page = await this.client.send(
        new ListObjectsV2Command({
          Bucket: bucket,
          Prefix: base + prefix,
          ...(next === undefined ? {} : { ContinuationToken: next }),
        }),
      );
      for (const object of page.Contents ?? []) {
        if (object.Key !== undefined) yield { key: object.Key.slice(base.length), bytes: object.Size ?? 0 };
      }
      next = page.NextContinuationToken;
    } while (next !== undefined);
  }

  async check(): Promise<void> {
    await this.client.send(new HeadBucketCommand({ Bucket: this.location.bucket }));
  }

  async close(): Promise<void> {
    this.client.destroy();
  }

  private async read(key: string, range?: string): Promise<Readable> {
    try {
      const answer = await this.client.send(
        new GetObjectCommand({ ...this.address(key), ...(range === undefined ? {} : { Range: range }) }),
      );
      if (answer.Body instanceof Readable) return answer.Body;
      throw new Error(`the store answered ${key} without a body`);
    } catch (error) {
      if (statusOf(error) === 404) throw objectMissing(key);
      // A range that begins behind the end.
      if (statusOf(error) === 416) return Readable.from([]);
      throw error;
    }
  }

  private address(key: string): { Bucket: string; Key: string } {
    checkObjectKey(key);
    return { Bucket: this.location.bucket, Key: this.location.prefix + key };
  }

  private async collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of chunks) {
      bytes += chunk.byteLength;
      if (bytes > this.bufferLimitBytes) {
        throw new DomainError(
          'too-large',
          'length-required',
          `A body of more than ${this.bufferLimitBytes} bytes needs its length.`,
          {
            fix: 'Send the length with the body.',
          },
        );
      }
      parts.push(chunk);
    }
    return Buffer.concat(parts);
  }
}

function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return undefined;
  return (error.$metadata as { httpStatusCode?: number }).httpStatusCode;
}
