import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import {
  CATALOG_IMPORT_BODY_BYTES,
  CATALOG_IMPORT_LINES,
  CATALOG_IMPORT_TEXT_BYTES,
  catalogFormatView,
  catalogImportSchema,
  catalogImportView,
} from '#contracts';
import { authorOf } from '#identity/audit';
import { Catalog, formatList, importPriceList } from '#market/catalog';
import type { Store } from '#platform/database';
import { route, type Call } from '../../http/route.js';
import { Serve } from '../../http/serve.js';
import { STORE } from '../../tokens.js';

const tag = 'Administration';
const access = { roles: ['platform-admin'] } as const;
const MIB = 1_048_576;

const importCatalog = route({
  method: 'POST',
  path: '/v1/admin/catalog/imports',
  tag,
  name: 'importCatalog',
  summary: 'Import a price list',
  description: `Its offers become \`listed\`: for comparison, never rented. What the list lacks stays, what the catalog saw later stays as it is, and what cannot be true is kept aside (\`GET /v1/admin/quarantine\`). The same list again changes nothing. A body has at most ${CATALOG_IMPORT_BODY_BYTES / MIB} MiB (or the installation’s own limit, where that is less); a list, unpacked, ${CATALOG_IMPORT_TEXT_BYTES / MIB} MiB and ${CATALOG_IMPORT_LINES} lines.`,
  access,
  body: catalogImportSchema,
  maxBodyBytes: CATALOG_IMPORT_BODY_BYTES,
  returns: catalogImportView,
});

const listCatalogFormats = route({
  method: 'GET',
  path: '/v1/admin/catalog/formats',
  tag,
  name: 'listCatalogFormats',
  summary: 'List the formats of price lists that can be imported',
  access,
  returns: z.object({ items: z.array(catalogFormatView) }).meta({ id: 'CatalogFormats' }),
});

@Controller()
export class CatalogImportsController {
  constructor(
    private readonly catalog: Catalog,
    @Inject(STORE) private readonly store: Store,
  ) {}

  @Serve(importCatalog)
  import(call: Call<typeof importCatalog>) {
    return importPriceList(this.store, this.catalog, authorOf(call), call.body);
  }

  @Serve(listCatalogFormats)
  formats(_: Call<typeof listCatalogFormats>) {
    return { items: formatList() };
  }
}
