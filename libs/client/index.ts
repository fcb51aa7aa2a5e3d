import { createClient, createConfig, type Client } from './generated/client/index.js';
import type { Problem } from './generated/types.gen.js';

export * from './generated/sdk.gen.js';
export type * from './generated/types.gen.js';
export type { Client };

export interface BrokerAddress {
  /** Such as `http://127.0.0.1:7070`. */
  readonly url: string;
  /** API key; absent for public routes. */
  readonly key?: string;
  readonly fetch?: typeof fetch;
}

/** A client for one broker and key, to be given to every operation: `listJobs({ client })`. */
export function brokerClient({ url, key, fetch: fetchWith }: BrokerAddress): Client {
  return createClient(
    createConfig({
      baseUrl: url.replace(/\/+$/, ''),
      ...(key === undefined ? {} : { auth: () => key }),
      ...(fetchWith === undefined ? {} : { fetch: fetchWith }),
    }),
  );
}

/** The broker refused; `problem` is its answer. */
export class BrokerRefused extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem,
  ) {
    super(problem.detail);
    this.name = 'BrokerRefused';
  }
}

/** The broker could not be reached, or what answered is not a broker. */
export class BrokerUnreachable extends Error {
  constructor(url: string, cause: unknown) {
    super(`No broker answers at ${url}.`, { cause });
    this.name = 'BrokerUnreachable';
  }
}

interface Outcome<T> {
  readonly data?: T | undefined;
  readonly error?: unknown;
  readonly response?: Response | undefined;
  readonly request?: Request | undefined;
}

/** The data of an operation, or BrokerRefused or BrokerUnreachable: `const { items } = await answerOf(listJobs({ client }))`. */
export async function answerOf<T>(operation: Promise<Outcome<T>>): Promise<NonNullable<T>> {
  const { data, error, response, request } = await operation;
  if (response?.ok) return data as NonNullable<T>;
  if (response && isProblem(error)) throw new BrokerRefused(response.status, error);
  throw new BrokerUnreachable(request ? new URL(request.url).origin : 'the given address', error);
}

function isProblem(value: unknown): value is Problem {
  return typeof value === 'object' && value !== null && 'code' in value && 'detail' in value && 'requestId' in value;
}
