import { createHash, createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * As much of S3 as `S3Store` uses, for specs: one bucket in memory, path-style addresses, every request checked against
 * Signature Version 4 (AWS, "Authenticating Requests: Using the Authorization Header"). Lists come in pages of three.
 */
export interface S3StandIn {
  readonly endpoint: string;
  close(): Promise<void>;
}

export const STAND_IN_CREDENTIALS = { accessKeyId: 'AKIDSTANDIN', secretAccessKey: 'stand-in-secret' };
const PAGE = 3;

class S3Failure extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
  ) {
    super(code);
  }
}

export async function startS3StandIn(bucket: string): Promise<S3StandIn> {
  const objects = new Map<string, Buffer>();
  const server = createServer((request, response) => {
    serve(bucket, objects, request, response).catch((error: unknown) => {
      const [status, code] = error instanceof S3Failure ? [error.status, error.code] : [500, 'InternalError'];
      const body = request.method === 'HEAD' ? '' : `<Error><Code>${code}</Code><Message>${code}</Message></Error>`;
      response.writeHead(status, { 'content-type': 'application/xml' }).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    // A TCP server that listens has an address of this kind.
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function serve(
  bucket: string,
  objects: Map<string, Buffer>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://s3');
  checkSignature(request, url);
  const [, name, ...rest] = url.pathname.split('/');
  if (name !== bucket) throw new S3Failure(404, 'NoSuchBucket');
  const key = decodeURIComponent(rest.join('/'));
  const found = objects.get(key);
  switch (request.method) {
    case 'PUT':
      objects.set(key, await wholeBody(request));
      return void response.writeHead(200).end();
    case 'DELETE':
      objects.delete(key);
      return void response.writeHead(204).end();
    case 'HEAD':
      if (key !== '' && !found) throw new S3Failure(404, 'NotFound');
      return void response.writeHead(200, { 'content-length': found?.length ?? 0 }).end();
    default:
      if (key === '')
        return void response.writeHead(200, { 'content-type': 'application/xml' }).end(listing(objects, url));
      if (!found) throw new S3Failure(404, 'NoSuchKey');
      return sendObject(response, found, request.headers.range);
  }
}

/** A body that breaks off never resolves to a shorter one. */
async function wholeBody(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const body = Buffer.concat(parts);
  if (!request.complete || String(body.length) !== request.headers['content-length'])
    throw new S3Failure(400, 'IncompleteBody');
  const claimed = request.headers['x-amz-content-sha256'];
  if (claimed !== 'UNSIGNED-PAYLOAD' && claimed !== createHash('sha256').update(body).digest('hex')) {
    throw new S3Failure(400, 'XAmzContentSHA256Mismatch');
  }
  return body;
}

function sendObject(response: ServerResponse, body: Buffer, range: string | undefined): void {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
  if (first === undefined || last === undefined)
    return void response.writeHead(200, { 'content-length': body.length }).end(body);
  if (Number(first) >= body.length) throw new S3Failure(416, 'InvalidRange');
  const part = body.subarray(Number(first), Number(last) + 1);
  const headers = { 'content-length': part.length, 'content-range': `bytes ${first}-${last}/${body.length}` };
  response.writeHead(206, headers).end(part);
}

function listing(objects: Map<string, Buffer>, url: URL): string {
  const prefix = url.searchParams.get('prefix') ?? '';
  const after = url.searchParams.get('continuation-token') ?? '';
  const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
  const page = keys.slice(0, PAGE);
  const truncated = keys.length > page.length;
  const contents = page.map(
    (key) => `<Contents><Key>${key}</Key><Size>${objects.get(key)?.length ?? 0}</Size></Contents>`,
  );
  const next = truncated ? `<NextContinuationToken>${page.at(-1) ?? ''}</NextContinuationToken>` : '';
  return `<ListBucketResult><IsTruncated>${truncated}</IsTruncated>${next}${contents.join('')}</ListBucketResult>`;
}

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/;

function checkSignature(request: IncomingMessage, url: URL): void {
  const [, keyId, day = '', region = '', signed = '', signature] =
    AUTHORIZATION.exec(request.headers.authorization ?? '') ?? [];
  if (keyId !== STAND_IN_CREDENTIALS.accessKeyId) throw new S3Failure(403, 'InvalidAccessKeyId');
  const header = (name: string): string => String(request.headers[name] ?? '').trim();
  const query = [...url.searchParams]
    .map(([name, value]) => `${encoded(name)}=${encoded(value)}`)
    .sort()
    .join('&');
  const headers = signed.split(';').map((name) => `${name}:${header(name)}\n`);
  const canonical = [
    request.method,
    url.pathname,
    query,
    headers.join(''),
    signed,
    header('x-amz-content-sha256'),
  ].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  const digest = createHash('sha256').update(canonical).digest('hex');
  const toSign = ['AWS4-HMAC-SHA256', header('x-amz-date'), scope, digest].join('\n');
  const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
  const key = [region, 's3', 'aws4_request'].reduce(hmac, hmac(`AWS4${STAND_IN_CREDENTIALS.secretAccessKey}`, day));
  if (hmac(key, toSign).toString('hex') !== signature) throw new S3Failure(403, 'SignatureDoesNotMatch');
}

function encoded(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}
