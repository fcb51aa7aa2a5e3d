import { readFileSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { embeddedFailure, unlessMissing } from './failure.js';

/** The system account that the server runs under when Berth itself is root (PostgreSQL refuses to run as root). */
export interface ServerAccount {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

const PREFERRED = ['postgres', '_postgres', 'nobody'];

export function parsePasswd(passwd: string): ServerAccount[] {
  return passwd.split('\n').flatMap((line) => {
    const [name, , uid, gid] = line.split(':');
    if (!name || name.startsWith('#') || !/^\d+$/.test(uid ?? '') || !/^\d+$/.test(gid ?? '')) return [];
    return [{ name, uid: Number(uid), gid: Number(gid) }];
  });
}

/**
 * Picks the account for a server started by root: the owner of existing data, else a database or nobody account.
 * It must have a passwd entry, because initdb and pg_ctl look their own user up.
 */
export function chooseAccount(accounts: readonly ServerAccount[], dataOwnerUid?: number): ServerAccount | undefined {
  const usable = accounts.filter((account) => account.uid !== 0);
  if (dataOwnerUid !== undefined && dataOwnerUid !== 0) {
    return usable.find((account) => account.uid === dataOwnerUid);
  }
  for (const name of PREFERRED) {
    const found = usable.find((account) => account.name === name);
    if (found) return found;
  }
  return undefined;
}

/** Null means: run the server as the user we are. */
export function serverAccount(dataDir: string | undefined): ServerAccount | null {
  const ownUid = process.getuid?.();
  if (ownUid !== 0) {
    requireOwnPasswdEntry(ownUid);
    return null;
  }
  const owner = dataDir === undefined ? undefined : unlessMissing(() => statSync(dataDir).uid);
  const passwd = unlessMissing(() => readFileSync('/etc/passwd', 'utf8')) ?? '';
  const account = chooseAccount(parsePasswd(passwd), owner);
  if (account) return account;
  throw embeddedFailure(
    owner === undefined
      ? 'PostgreSQL refuses to run as root, and /etc/passwd has no postgres or nobody account to run it under.'
      : `The database files in ${dataDir} belong to uid ${owner}, which has no entry in /etc/passwd.`,
    'Run Berth as an ordinary user, or add such an account.',
  );
}

function requireOwnPasswdEntry(uid: number | undefined): void {
  try {
    userInfo();
  } catch {
    throw embeddedFailure(
      `PostgreSQL needs a passwd entry for the user it runs as, and uid ${uid} has none.`,
      'Run Berth as a user listed in /etc/passwd, or give it the address of a PostgreSQL server of your own.',
    );
  }
}
