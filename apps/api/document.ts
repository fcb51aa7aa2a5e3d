import { docsPage } from './http/docs/docs-page.js';
import { openApiOf, type OpenApiDocument } from './http/docs/openapi.js';
import type { RouteSpec } from './http/route.js';

/** Version of the API, not of the program: it changes when a client must. */
const API_VERSION = '1.0.0';

export function openApiDocument(specs: readonly RouteSpec[]): OpenApiDocument {
  return openApiOf(specs, API_VERSION);
}

/** The document and the guide made from it, once per process. */
export class ApiDocument {
  readonly html: string;
  constructor(readonly json: OpenApiDocument) {
    this.html = docsPage(json);
  }
}
