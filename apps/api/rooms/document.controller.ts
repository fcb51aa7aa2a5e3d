import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { ApiDocument } from '../document.js';
import { docsStyle } from '../http/docs/docs-page.js';
import { route, type Call } from '../http/route.js';
import { Serve } from '../http/serve.js';

const tag = 'Documents';

const getDocument = route({
  method: 'GET',
  path: '/openapi.json',
  tag,
  name: 'getOpenApi',
  summary: 'This API as an OpenAPI 3.1 document',
  access: 'public',
  returns: z.record(z.string(), z.unknown()),
});

const getGuide = route({
  method: 'GET',
  path: '/docs',
  tag,
  name: 'getGuide',
  summary: 'This API as a page to read',
  access: 'public',
  returns: { text: 'text/html; charset=utf-8' },
});

const getGuideStyle = route({
  method: 'GET',
  path: '/docs/style.css',
  tag,
  name: 'getGuideStyle',
  summary: 'The look of that page',
  access: 'public',
  returns: { text: 'text/css; charset=utf-8' },
});

@Controller()
export class DocumentController {
  constructor(@Inject(ApiDocument) private readonly document: ApiDocument) {}

  @Serve(getDocument)
  json(_: Call<typeof getDocument>): Record<string, unknown> {
    return { ...this.document.json };
  }

  @Serve(getGuide)
  guide({ reply }: Call<typeof getGuide>): string {
    void reply.header('content-security-policy', "default-src 'none'; style-src 'self'; frame-ancestors 'none'");
    return this.document.html;
  }

  @Serve(getGuideStyle)
  style(_: Call<typeof getGuideStyle>): string {
    return docsStyle;
  }
}
