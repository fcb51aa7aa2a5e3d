import type { Command } from 'commander';
import type { JobView } from '#contracts';
import { idArgument, pages, withBroker, type Run } from '../command.js';
import { Ended, EXIT } from '../exit.js';
import { aboveZero, collect, collectPair, money, oneOf, timeSpan, wholeNumber } from '../flags.js';
import type { SubmitFlags, SubmitManyFlags } from '../jobs/submit-flags.js';
import { needOptions } from './workload-flags.js';
import { print, rowsText, factsText } from '../output.js';
import { ago, dollars } from '../text.js';

const STATES = [
  'queued',
  'placing',
  'starting',
  'running',
  'recovering',
  'succeeded',
  'failed',
  'cancelled',
] as const satisfies JobView['state'][];

/** A job id, or `last`. */
const jobArgument = (text: string): string => (text === 'last' ? text : idArgument('job')(text));

/** The newest job's id for `last`. */
async function jobId(run: Run, text: string): Promise<string> {
  if (text !== 'last') return text;
  const { answerOf, listJobs } = await import('#client');
  const newest = (await answerOf(listJobs({ client: run.client, query: { limit: 1 } }))).items[0];
  if (!newest) throw new Ended(EXIT.notFound, 'there is no job yet.\n  Submit one: berth jobs submit --help');
  return newest.id;
}

export function registerJobs(berth: Command): void {
  const jobs = berth.command('jobs').description('batch work; an id may be `last`');

  const submit = jobs
    .command('submit [command...]')
    .description('submit a batch of requests (--model, --input) or a command (--command -- CMD ARGS)')
    .option('--model <model>', 'model that every line asks for')
    .option('--input <file>', 'JSON lines of OpenAI-style requests; - for standard input')
    .option('--command', 'run the command after --')
    .option('--env <NAME=value>', 'environment of the command, repeatable', collectPair, {})
    .option('--in <file:path>', 'put a local file into the working folder, repeatable', collect, [])
    .option('--out <path>', 'keep a file that the command leaves, repeatable', collect, [])
    .option('--max-cost <dollars>', 'cost cap; without it Berth estimates one', money)
    .option('--name <name>', 'what to call it')
    .option('--billing <what>', 'pay for time, or for tokens where the model has a price', oneOf(['time', 'tokens']))
    .option('--quote <id>', 'its machine at its price; the workload is that of the quote', idArgument('qt'))
    .option('--lines-per-shard <n>', 'lines of one shard', wholeNumber(1, 10_000))
    .option('--timeout <time>', 'such as 1h', timeSpan)
    .option('--takes <time>', 'how long the work takes on such a machine; a batch is estimated without it', timeSpan)
    .option('--gpu-hours <n>', 'or: hours that it takes on --count of the reference GPU', aboveZero)
    .option('--reference <gpu>', 'the reference GPU; H100-SXM without it')
    .option('--keep-warm <time>', 'keep the machine for the project’s next job', timeSpan)
    .option('--project <id>', 'the project it belongs to', idArgument('prj'))
    .option('--wait [time]', 'wait for the end, at most this long', timeSpan)
    .option('--dry-run', 'check and price it, submit nothing')
    .option('--idempotency-key <key>', 'the same key submits once');
  needOptions(submit)
    .addHelpText(
      'after',
      "\nExamples:\n  berth jobs submit --model universal-sentence-encoder --input texts.jsonl --wait\n  berth jobs submit --command --env GREETING=hi -- sh -c 'echo $GREETING'\n  berth jobs submit --command --takes 2h --deadline 6h -- ./train.sh\n  berth jobs submit --command --gpu H100 --cuda 12.4 --checkpoint 2m --takes 20h -- ./train.sh",
    )
    .action(
      withBroker(async (run, command: string[], flags: SubmitFlags) => {
        const { submit } = await import('../jobs/submit.js');
        await submit(run, command, flags);
      }),
    );

  jobs
    .command('submit-many')
    .argument('<file>', 'JSON lines, one job each as POST /v1/jobs takes it; - for standard input')
    .description('submit up to 500 jobs together: all or none, with one hold for them all')
    .option('--max-cost <dollars>', 'cost cap of each job that names none', money)
    .option('--project <id>', 'the project they belong to', idArgument('prj'))
    .option('--idempotency-key <key>', 'the same key submits once')
    .addHelpText(
      'after',
      '\nExamples:\n  berth jobs submit-many jobs.jsonl --max-cost 0.50\n  berth jobs submit-many jobs.jsonl --json',
    )
    .action(
      withBroker(async (run, file: string, flags: SubmitManyFlags) => {
        const { submitMany } = await import('../jobs/submit-many.js');
        await submitMany(run, file, flags);
      }),
    );

  jobs
    .command('ls')
    .description('list jobs, newest first')
    .option('--state <state>', STATES.join(', '), oneOf(STATES))
    .option('--limit <n>', 'most rows', wholeNumber(1, 100_000), 20)
    .option('--all', 'every row')
    .addHelpText('after', '\nExamples:\n  berth jobs ls --state running\n  berth jobs ls --all --json')
    .action(
      withBroker(async ({ client, output }, o: { state?: (typeof STATES)[number]; limit: number; all?: boolean }) => {
        const { answerOf, listJobs } = await import('#client');
        const rows = await pages(o.all ? null : o.limit, (cursor, limit) =>
          answerOf(
            listJobs({
              client,
              query: {
                limit,
                ...(o.state === undefined ? {} : { state: o.state }),
                ...(cursor === undefined ? {} : { cursor }),
              },
            }),
          ),
        );
        print(
          rowsText(
            rows,
            [
              { title: 'id', of: (r) => r.id },
              { title: 'name', of: (r) => r.name },
              { title: 'state', of: (r) => r.state },
              {
                title: 'done',
                of: (r) => `${r.progress.linesOk + r.progress.linesFailed}/${r.progress.linesTotal}`,
                right: true,
              },
              { title: 'charged', of: (r) => dollars(r.cost.charged), right: true },
              { title: 'created', of: (r) => ago(r.createdAt) },
            ],
            output,
          ),
        );
      }),
    );

  jobs
    .command('get')
    .argument('<id>', 'a job, or last', jobArgument)
    .description('show a job')
    .addHelpText('after', '\nExamples:\n  berth jobs get last')
    .action(
      withBroker(async (run, id: string) => {
        const { client, output } = run;
        const { answerOf, getJob } = await import('#client');
        const job = await answerOf(getJob({ client, path: { id: await jobId(run, id) } }));
        print(
          factsText(
            job,
            [
              ['id', job.id],
              ['name', job.name],
              ['state', job.state],
              ['reason', job.reason],
              [
                'lines',
                `${job.progress.linesOk} done, ${job.progress.linesFailed} failed, of ${job.progress.linesTotal}`,
              ],
              ['shards', `${job.progress.shardsDone} of ${job.progress.shardsTotal}`],
              ['charged', dollars(job.cost.charged)],
              ['held', dollars(job.cost.held)],
              ['cap', dollars(job.cost.cap)],
              ['lease', job.leaseId],
              ['placement', job.placementId],
              ['quote', job.quoteId],
              ['created', job.createdAt],
              ['started', job.startedAt],
              ['ended', job.endedAt],
              ...(job.deadlineAt === null ? [] : [['deadline', job.deadlineAt] as const]),
              ...(job.moveAt === null ? [] : [['moves on demand at the latest', job.moveAt] as const]),
            ],
            output,
          ),
        );
      }),
    );

  jobs
    .command('watch')
    .argument('<id>', 'a job, or last', jobArgument)
    .description('follow a job to its end; Ctrl-C leaves it running')
    .option('--wait <time>', 'give up after this long', timeSpan)
    .addHelpText('after', '\nExamples:\n  berth jobs watch last --wait 30m')
    .action(
      withBroker(async (run, id: string, o: { wait?: number }) => {
        const { watchToEnd } = await import('../jobs/watch.js');
        await watchToEnd(run, await jobId(run, id), o.wait ?? null);
      }),
    );

  jobs
    .command('logs')
    .argument('<id>', 'a job, or last', jobArgument)
    .description('print the logs')
    .option('--follow', 'until the job ends')
    .addHelpText('after', '\nExamples:\n  berth jobs logs last --follow')
    .action(
      withBroker(async (run, id: string, o: { follow?: boolean }) => {
        const { printLogs } = await import('../jobs/logs.js');
        await printLogs(run, await jobId(run, id), o.follow === true);
      }),
    );

  jobs
    .command('results')
    .argument('<id>', 'a job, or last', jobArgument)
    .description('print the result lines; of a running job, what is there so far')
    .option('--output <file>', 'write them to a file')
    .addHelpText('after', '\nExamples:\n  berth jobs results last --output results.jsonl')
    .action(
      withBroker(async (run, id: string, o: { output?: string }) => {
        const { saveResults } = await import('../jobs/results.js');
        await saveResults(run, `/v1/jobs/${await jobId(run, id)}/results`, o.output);
      }),
    );

  jobs
    .command('output')
    .argument('<id>', 'a job, or last', jobArgument)
    .argument('<path>', 'as it was given to --out')
    .description('fetch a file that a command left')
    .option('--output <file>', 'write it to a file')
    .addHelpText('after', '\nExamples:\n  berth jobs output last model.bin --output model.bin')
    .action(
      withBroker(async (run, id: string, path: string, o: { output?: string }) => {
        const { saveResults } = await import('../jobs/results.js');
        await saveResults(run, `/v1/jobs/${await jobId(run, id)}/outputs?path=${encodeURIComponent(path)}`, o.output);
      }),
    );

  jobs
    .command('cancel')
    .argument('<id>', 'a job, or last', jobArgument)
    .description('cancel a job; finished shards keep their results')
    .option('--wait [time]', 'until it has ended', timeSpan)
    .addHelpText('after', '\nExamples:\n  berth jobs cancel last --wait 1m')
    .action(
      withBroker(async (run, id: string, o: { wait?: number | true }) => {
        const { answerOf, cancelJob } = await import('#client');
        const job = await answerOf(cancelJob({ client: run.client, path: { id: await jobId(run, id) } }));
        if (o.wait === undefined) {
          print(
            factsText(
              job,
              [
                ['id', job.id],
                ['state', job.state],
                ['cancel requested', job.cancelRequested ? 'yes' : 'no'],
              ],
              run.output,
            ),
          );
          return;
        }
        const { watchToEnd } = await import('../jobs/watch.js');
        await watchToEnd(run, job.id, o.wait === true ? null : o.wait, ['cancelled']);
      }),
    );
}
