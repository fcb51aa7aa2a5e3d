import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { deriveApi, type StripeApi } from './derive.js';

const require = createRequire(import.meta.url);

/** The installed SDK's folder. */
function sdkRoot(): string {
  // Its exports hide package.json; the entry lies one folder below the root.
  return join(dirname(require.resolve('stripe')), '..');
}

/** Changes whenever the SDK or the derivation does. */
function fingerprint(root: string): string {
  const sources = ['derive.ts', 'type-schemas.ts'].map((file) => readFileSync(join(import.meta.dirname, file), 'utf8'));
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  return `${version}-${createHash('sha256').update(sources.join('\0')).digest('hex').slice(0, 12)}`;
}

/** The derived API; kept under node_modules/.cache, because deriving it takes seconds. */
export function loadApi(): StripeApi {
  const root = sdkRoot();
  const folder = join(root, '..', '.cache', 'berth-stripe-types');
  const file = join(folder, `${fingerprint(root)}.json`);
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as StripeApi;
  } catch {
    const api = deriveApi(root);
    mkdirSync(folder, { recursive: true });
    const draft = `${file}.${process.pid}`;
    writeFileSync(draft, JSON.stringify(api));
    renameSync(draft, file);
    return api;
  }
}
