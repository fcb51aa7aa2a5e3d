import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DomainError } from '#kernel';
import { FolderStore } from './folder-store.js';
import type { ObjectStore } from './object-store.js';
import type { S3Credentials, S3Location } from './s3-store.js';

/**
 * Opens the store that OBJECTS_URL names: `file:/a/folder` or
 * `s3://bucket/prefix?region=eu-west-1&endpoint=https://host&forcePathStyle=true`.
 */
export async function openObjectStore(url: string, credentials?: S3Credentials): Promise<ObjectStore> {
  if (url.startsWith('file:')) {
    return FolderStore.open(
      url.startsWith('file://') ? fileURLToPath(url) : resolve(decodeURI(url.slice('file:'.length))),
    );
  }
  const location = s3Location(url);
  // The SDK takes a third of a second to load; installations with a folder do not pay for it.
  const { S3Store } = await import('./s3-store.js');
  return new S3Store(location, credentials);
}

const S3_OPTIONS = ['region', 'endpoint', 'forcePathStyle'];

function s3Location(text: string): S3Location {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol !== 's3:' || url.hostname === '') throw refused('is neither file:... nor s3://bucket');
  const wrong = [...url.searchParams.keys()].find((name) => !S3_OPTIONS.includes(name));
  if (wrong !== undefined) throw refused(`has an option ${wrong} that is not known (known: ${S3_OPTIONS.join(', ')})`);
  const endpoint = url.searchParams.get('endpoint');
  if (endpoint !== null && !URL.canParse(endpoint)) throw refused('has an endpoint that is not a URL');
  const prefix = url.pathname.replace(/^\/+|\/+$/g, '');
  return {
    bucket: url.hostname,
    prefix: prefix === '' ? '' : `${prefix}/`,
    region: url.searchParams.get('region') ?? 'us-east-1',
    forcePathStyle: (url.searchParams.get('forcePathStyle') ?? String(endpoint !== null)) === 'true',
    ...(endpoint === null ? {} : { endpoint }),
  };
}

function refused(why: string): DomainError {
  return new DomainError('invalid', 'invalid-objects-url', `OBJECTS_URL ${why}.`, {
    fix: 'Use file:/a/folder or s3://bucket?region=eu-west-1&endpoint=https://host&forcePathStyle=true.',
  });
}
