import type { IncomingMessage, ServerResponse } from 'node:http';
import { createSchema, type SandboxCloud } from '#adapters/sandbox-cloud';
import { readBody, Refused, sendAnswer } from './http.js';

/** The API a renter sees: `/v1/account`, `/v1/offers`, `/v1/machines`, `/v1/machines/{id}`. */
export async function vendorApi(
  cloud: SandboxCloud,
  request: IncomingMessage,
  response: ServerResponse,
  path: readonly string[],
  query: URLSearchParams,
): Promise<void> {
  const route = `${request.method} ${path[0] ?? ''}${path.length > 1 ? '/{id}' : ''}`;
  const id = path[1] ?? '';
  if (path.length > 2) throw new Refused('not_found', 'There is nothing here.');
  switch (route) {
    case 'GET account':
      return sendAnswer(response, cloud.account());
    case 'GET offers':
      return sendAnswer(response, cloud.offers());
    case 'POST machines':
      return sendAnswer(response, cloud.create(await readBody(request, createSchema)), 201);
    case 'GET machines': {
      const tag = query.get('tag');
      if (tag !== null && tag.indexOf('=') < 1) throw new Refused('invalid_request', 'tag: must be key=value');
      const cursor = query.get('cursor');
      return sendAnswer(response, cloud.list(tag, cursor === null ? {} : { cursor }));
    }
    case 'GET machines/{id}':
      return sendAnswer(response, cloud.get(id));
    case 'DELETE machines/{id}':
      return sendAnswer(response, cloud.terminate(id), 202);
    default:
      throw new Refused('not_found', `There is no ${request.method} /v1/${path.join('/')}.`);
  }
}
