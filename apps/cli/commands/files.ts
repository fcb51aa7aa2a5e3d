import type { Command } from 'commander';
import type { Artifact } from '#client';
import { idArgument, withBroker } from '../command.js';
import { saveResults } from '../jobs/results.js';
import { print, rowsText, type Output } from '../output.js';
import { ago } from '../text.js';

/** `berth files`: what was uploaded and takes up storage. */
export function registerFiles(berth: Command): void {
  const files = berth.command('files').description('files that were uploaded; see docs/billing.md, "Files"');
  files
    .command('ls')
    .description('list files, newest first')
    .option('--project <id>', 'of this project', idArgument('prj'))
    .addHelpText('after', '\nExamples:\n  berth files ls\n  berth files ls --json')
    .action(
      withBroker(async ({ client, output }, o: { project?: string }) => {
        const { answerOf, listArtifacts } = await import('#client');
        // The option was checked for its form.
        const of = o.project === undefined ? {} : { projectId: o.project as `prj_${string}` };
        const found: Artifact[] = [];
        for (let cursor: string | null | undefined; cursor !== null;) {
          const query = { ...of, limit: 200, ...(cursor === undefined ? {} : { cursor }) };
          const page = await answerOf(listArtifacts({ client, query }));
          found.push(...page.items);
          cursor = page.nextCursor;
        }
        print(filesText(found, output));
      }),
    );
  files
    .command('get')
    .argument('<file>', 'which', idArgument('art'))
    .description('read a file')
    .option('-o, --output <path>', 'write it there')
    .addHelpText('after', '\nExamples:\n  berth files get art_01j… -o input.jsonl')
    .action(
      withBroker((run, id: string, o: { output?: string }) =>
        saveResults(run, `/v1/artifacts/${id}/content`, o.output),
      ),
    );
  files
    .command('rm')
    .argument('<file...>', 'which', idArguments)
    .description('delete files; refused while a job needs them')
    .addHelpText('after', '\nExamples:\n  berth files rm art_01j…')
    .action(
      withBroker(async ({ client, output }, ids: string[]) => {
        const { answerOf, deleteArtifact } = await import('#client');
        const gone: Artifact[] = [];
        for (const id of ids)
          gone.push(await answerOf(deleteArtifact({ client, path: { id: id as `art_${string}` } })));
        print(filesText(gone, output));
      }),
    );
}

const one = idArgument('art');
function idArguments(text: string, before: readonly string[] = []): string[] {
  return [...before, one(text)];
}

function filesText(files: readonly Artifact[], output: Output): string {
  return rowsText(
    files,
    [
      { title: 'file', of: (f) => f.id },
      { title: 'name', of: (f) => f.name },
      { title: 'bytes', of: (f) => String(f.bytes), right: true },
      { title: 'uploaded', of: (f) => ago(f.createdAt) },
    ],
    output,
  );
}
