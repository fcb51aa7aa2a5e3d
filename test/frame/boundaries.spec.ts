import { describe, expect, it } from '@jest/globals';
import { ESLint } from 'eslint';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** What the boundary rule says of one import, as if it stood in an existing file of that room. */
async function complaints(file: string, source: string): Promise<string[]> {
  const eslint = new ESLint({
    cwd: root,
    overrideConfig: [
      {
        files: ['**/*.ts'],
        languageOptions: { parserOptions: { projectService: false } },
        rules: { '@typescript-eslint/no-floating-promises': 'off' },
      },
    ],
  });
  const [result] = await eslint.lintText(`import * as it from '${source}';\nexport const used = it;\n`, {
    filePath: join(root, file),
  });
  return (result?.messages ?? []).map((m) => m.ruleId ?? m.message);
}

const forbidden: [string, string][] = [
  ['libs/kernel/clock.ts', '#contracts'],
  ['libs/hardware/index.ts', '#contracts'],
  ['libs/contracts/offer.ts', '#platform/database'],
  ['libs/platform/database/sql.ts', '#platform/queue'],
  ['libs/platform/config/config.ts', '#platform/observability'],
  ['libs/money/ledger/index.ts', '#money/quotas'],
  ['libs/money/quotas/index.ts', '#market/catalog'],
  ['libs/market/catalog/index.ts', '#market/placement'],
  ['libs/market/placement/index.ts', '#compute/leases'],
  ['libs/compute/agents/index.ts', '#compute/leases'],
  ['libs/compute/leases/index.ts', '#work/jobs'],
  ['libs/compute/leases/index.ts', '#adapters/sandbox'],
  ['libs/work/jobs/index.ts', '#adapters/sandbox'],
  ['libs/adapters/sandbox/index.ts', '#platform/database'],
  ['libs/identity/tenancy/index.ts', '#money/ledger'],
  ['apps/agent/main.ts', '#platform/database'],
  ['apps/agent/main.ts', '#work/jobs'],
  ['libs/work/jobs/index.ts', '#testing'],
  ['apps/worker/boot.ts', '#testing/world'],
];

const allowed: [string, string][] = [
  ['libs/contracts/wire.ts', '#kernel'],
  ['libs/contracts/wire.ts', '#hardware'],
  ['libs/platform/reconcile/loop.ts', '#platform/database'],
  ['libs/money/metering/index.ts', '#money/quotas'],
  ['libs/market/placement/index.ts', '#market/catalog'],
  ['libs/compute/leases/index.ts', '#compute/agents'],
  ['libs/work/jobs/index.ts', '#compute/leases'],
  ['libs/broker/open.ts', '#adapters/sandbox'],
  ['libs/adapters/sandbox/index.ts', '#contracts'],
  ['apps/worker/boot.ts', '#broker'],
  ['apps/agent/main.ts', '#contracts'],
  ['apps/cli/main.ts', '#client'],
];

describe('the walls of the house', () => {
  it.each(forbidden)('%s may not import %s', async (file, source) => {
    expect(await complaints(file, source)).toContain('boundaries/dependencies');
  });
  it.each(allowed)('%s may import %s', async (file, source) => {
    expect(await complaints(file, source)).toEqual([]);
  });
});
