import { DataSource } from 'typeorm';

/** Runs every migration backwards, newest first, as the owner. */
export async function undoAll(ownerUrl: string, migrations: (new () => object)[]): Promise<void> {
  const source = await new DataSource({
    type: 'postgres',
    url: ownerUrl,
    migrations,
    migrationsTransactionMode: 'all',
    migrationsTableName: 'berth_migrations',
    entities: [],
    applicationName: 'berth-migrate',
  }).initialize();
  try {
    for (let left = migrations.length; left > 0; left--) await source.undoLastMigration();
  } finally {
    await source.destroy();
  }
}

/** What is wrong with the names: TypeORM sorts by the last 13 characters, so they must be a time, and rise in the order of the list. */
export function nameProblems(names: readonly string[]): string[] {
  const wrong: string[] = [];
  let last = 0;
  for (const name of names) {
    const stamp = /^[A-Z][A-Za-z]*(\d{13})$/.exec(name)?.[1];
    if (stamp === undefined) {
      wrong.push(`${name} does not end in a 13-digit timestamp`);
      continue;
    }
    if (Number(stamp) <= last) wrong.push(`${name} does not come after the migration before it`);
    last = Number(stamp);
  }
  return wrong;
}
