import { jest } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Catalog } from '#market/catalog';
import { WORKER } from '#platform/database';
import { TestApi } from '../../apps/api/testing/test-api.js';
import { program } from '../../apps/cli/program.js';

export const root = join(import.meta.dirname, '../..');

/** A command that a page shows; `exits` where its block says that it fails. */
export interface PageCommand {
  readonly line: string;
  readonly exits: number | null;
}

/** The `berth` lines of the shell blocks of a page; a block may say `# exits with 2`. */
export function commandsOf(page: string): PageCommand[] {
  const text = readFileSync(join(root, page), 'utf8');
  const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, code = '']) => code);
  return blocks.flatMap((code) => {
    const said = /# exits with (\d+)/.exec(code)?.[1];
    const exits = said === undefined ? null : Number(said);
    return code
      .split('\n')
      .filter((line) => line.startsWith('berth '))
      .map((line) => ({ line, exits }));
  });
}

/** The command line against an API over the shipped catalog. */
export class CliOnSnapshot {
  private readonly before = { ...process.env };

  private constructor(readonly api: TestApi) {}

  static async start(): Promise<CliOnSnapshot> {
    const api = await TestApi.start();
    const cli = new CliOnSnapshot(api);
    const { key } = await api.tenant();
    await api.ground.store.transaction(WORKER, (tx) => api.app.get(Catalog).loadSnapshot(tx));
    await api.app.listen(0, '127.0.0.1');
    process.env['BERTH_CLI_URL'] = await api.app.getUrl();
    process.env['BERTH_CLI_KEY'] = key;
    return cli;
  }

  async close(): Promise<void> {
    process.env = this.before;
    await this.api.close();
  }

  /** Runs a command as the program does, and gives back what it printed; files are found from the root of the repository. */
  async berth(...args: string[]): Promise<string> {
    let printed = '';
    const write = jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
      printed += String(text);
      return true;
    });
    const found = args.map((a) => (a.startsWith('docs/') ? join(root, a) : a));
    try {
      await program().parseAsync(found, { from: 'user' });
    } catch (error) {
      // What was printed before it failed is part of what a person sees.
      throw Object.assign(error instanceof Error ? error : new Error(String(error)), { printed });
    } finally {
      write.mockRestore();
    }
    return printed;
  }
}
