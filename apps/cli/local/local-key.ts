import { systemClock, systemRandom } from '#kernel';
import { Tenancy } from '#identity/tenancy';
import { loadOrCreateSecret } from '#platform/config';
import { openStore } from '#platform/database';
import { startEmbedded } from '#platform/embedded';
import { deriveKey } from '#platform/secrets';

/** A further platform key for whoever owns the database of this machine. */
export async function issueLocalKey(home: string): Promise<string> {
  const secret = process.env['BERTH_SECRET'] ?? loadOrCreateSecret(home);
  const ownerUrl = process.env['DATABASE_URL'] ?? (await startEmbedded({ home })).ownerUrl;
  const opened = await openStore(ownerUrl, secret, { poolSize: 2, name: 'berth-cli' });
  try {
    const tenancy = new Tenancy({
      store: opened.store,
      pepper: deriveKey(secret, 'token-pepper'),
      clock: systemClock,
      random: systemRandom,
    });
    return await tenancy.issuePlatformKey('local administrator');
  } finally {
    await opened.close();
  }
}
