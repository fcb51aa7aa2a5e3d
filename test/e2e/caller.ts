import type { BatchResultLine, CreateJobInput, JobEventView, JobView, Problem } from '#contracts';

export interface Answer<T> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

/** A JSON value whose shape the test knows. */
export type Body = Record<string, unknown>;

export interface ServerEvent {
  readonly id: string | null;
  readonly event: string;
  readonly data: JobEventView | JobView;
}

/** Speaks to the API as somebody with a key would, over real sockets. */
export class Caller {
  constructor(
    readonly url: string,
    readonly key: string | null,
  ) {}

  /** `call('POST /v1/jobs', { body })`; a string or bytes go as they are. */
  async call<T = Body>(
    line: `${string} /${string}`,
    with_: { body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<Answer<T>> {
    const [method = 'GET', path = '/'] = line.split(' ');
    const { body } = with_;
    const raw = typeof body === 'string' || body instanceof Uint8Array;
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...(this.key === null ? {} : { authorization: `Bearer ${this.key}` }),
        ...(body === undefined ? {} : { 'content-type': raw ? 'application/octet-stream' : 'application/json' }),
        ...with_.headers,
      },
      ...(body === undefined ? {} : { body: raw ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const json =
      /json/.test(response.headers.get('content-type') ?? '') &&
      !/ndjson/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, headers: response.headers, body: (json ? JSON.parse(text) : text) as T };
  }

  /** The body of an answer that must be good. */
  async get<T = Body>(
    line: `${string} /${string}`,
    with_: { body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<T> {
    const { status, body } = await this.call<T>(line, with_);
    if (status >= 300) throw new Error(`${line} answered ${status}: ${JSON.stringify(body)}`);
    return body;
  }

  /** The problem of an answer that must be a refusal. */
  async refusal(
    line: `${string} /${string}`,
    with_: { body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<Problem> {
    const { status, headers, body } = await this.call<Problem>(line, with_);
    if (status < 400) throw new Error(`${line} was not refused but answered ${status}: ${JSON.stringify(body)}`);
    if (!headers.get('content-type')?.startsWith('application/problem+json'))
      throw new Error(`${line} answered ${status} without a problem: ${JSON.stringify(body)}`);
    return body;
  }

  async upload(content: string | Uint8Array, name = 'input.jsonl'): Promise<string> {
    return (await this.get<{ id: string }>(`POST /v1/artifacts?name=${encodeURIComponent(name)}`, { body: content }))
      .id;
  }

  submit(job: CreateJobInput, headers: Record<string, string> = {}): Promise<JobView> {
    return this.get<JobView>('POST /v1/jobs', { body: job, headers });
  }

  /** A batch of requests, uploaded and submitted. */
  async batch(
    model: string,
    lines: readonly object[],
    more: Omit<CreateJobInput, 'spec'> & { linesPerShard?: number } = {},
  ): Promise<JobView> {
    const { linesPerShard, ...job } = more;
    const inputArtifactId = (await this.upload(toJsonLines(lines))) as never;
    return this.submit({
      ...job,
      spec: {
        kind: 'batch-inference',
        model,
        inputArtifactId,
        ...(linesPerShard === undefined ? {} : { linesPerShard }),
      },
    });
  }

  job(id: string): Promise<JobView> {
    return this.get<JobView>(`GET /v1/jobs/${id}`);
  }

  async results(id: string): Promise<BatchResultLine[]> {
    const text = await this.get<string>(`GET /v1/jobs/${id}/results`);
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as BatchResultLine);
  }

  /** The events of a job from after `lastId` on, until the stream ends or `enough` says so. */
  async watch(
    id: string,
    lastId: string | null,
    enough: (seen: readonly ServerEvent[]) => boolean,
  ): Promise<ServerEvent[]> {
    const end = new AbortController();
    const response = await fetch(`${this.url}/v1/jobs/${id}/events`, {
      signal: end.signal,
      headers: { authorization: `Bearer ${this.key}`, ...(lastId === null ? {} : { 'last-event-id': lastId }) },
    });
    if (!response.ok || !response.body) throw new Error(`watching ${id} answered ${response.status}`);
    const seen: ServerEvent[] = [];
    let rest = '';
    for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
      const blocks = (rest + part).split('\n\n');
      rest = blocks.pop() ?? '';
      for (const block of blocks) {
        const event = readEvent(block);
        if (event) seen.push(event);
      }
      if (enough(seen)) break;
    }
    end.abort();
    return seen;
  }
}

export function toJsonLines(lines: readonly object[]): string {
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}

export function embedding(customId: string, input: string): object {
  return {
    custom_id: customId,
    method: 'POST',
    url: '/v1/embeddings',
    body: { model: 'universal-sentence-encoder', input },
  };
}

export function chat(customId: string, content: string, maxTokens = 8): object {
  const body = {
    model: 'tiny-llama-seeded',
    messages: [{ role: 'user', content }],
    max_tokens: maxTokens,
    temperature: 0,
  };
  return { custom_id: customId, method: 'POST', url: '/v1/chat/completions', body };
}

function readEvent(block: string): ServerEvent | null {
  const fields = new Map(
    block.split('\n').flatMap((line) => {
      const cut = line.indexOf(': ');
      return cut <= 0 ? [] : [[line.slice(0, cut), line.slice(cut + 2)] as const];
    }),
  );
  const data = fields.get('data');
  if (data === undefined) return null;
  return {
    id: fields.get('id') ?? null,
    event: fields.get('event') ?? '',
    data: JSON.parse(data) as ServerEvent['data'],
  };
}
