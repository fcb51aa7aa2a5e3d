import { Client } from 'pg';
import { migrate } from '#platform/database';
import { migrations } from '../index.js';
import { differences, dumpCatalogue } from './catalogue.js';
import { tableDrift } from './drift.js';
import { nameProblems, undoAll } from './history.js';
import { tables } from './tables.js';

export interface MigrationCheck {
  /** What the migrations make of an empty database. */
  readonly catalogue: readonly string[];
  /** Each with a heading and what is wrong below it; empty when all is well. */
  readonly problems: readonly { readonly heading: string; readonly lines: readonly string[] }[];
}

/** All but what TypeORM keeps its own history in. */
const MADE_BY_MIGRATIONS = /^(table|view|sequence|function|type) (?!berth_migrations)/;

/**
 * Migrates the empty database of `ownerUrl` up, down and up again, and compares what comes out with the committed catalogue
 * (null: with none), with the definitions in the rooms, and with itself.
 */
export async function checkMigrations(
  ownerUrl: string,
  secret: string,
  committed: readonly string[] | null,
): Promise<MigrationCheck> {
  const client = new Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    await migrate(ownerUrl, secret);
    const catalogue = await dumpCatalogue(client);
    const drift = await tableDrift(client, tables);
    await undoAll(ownerUrl, migrations);
    const leftOver = (await dumpCatalogue(client)).filter((line) => MADE_BY_MIGRATIONS.test(line));
    await migrate(ownerUrl, secret);
    const again = await dumpCatalogue(client);
    const problems = [
      { heading: 'Names of migrations', lines: nameProblems(migrations.map((m) => m.name)) },
      {
        heading: 'The database is not what migrations/catalogue.txt says (-: committed, +: what the migrations make)',
        lines: committed === null ? [] : differences(committed, catalogue),
      },
      { heading: 'Definitions and database differ', lines: drift },
      { heading: 'Left over after migrating down', lines: leftOver },
      { heading: 'Up, down, up is not up', lines: differences(catalogue, again) },
    ];
    return { catalogue, problems: problems.filter((p) => p.lines.length > 0) };
  } finally {
    await client.end();
  }
}
