import { randomUUID } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { basename } from 'node:path';
import { Readable } from 'node:stream';
import { answerOf, createJob, previewJob } from '#client';
import type { CreateJobInput } from '#contracts';
import { idArgument, type Run } from '../command.js';
import { tell, UsageError } from '../exit.js';
import { factsText, print } from '../output.js';
import { rawRequest } from '../session.js';
import { dollars } from '../text.js';
import { moneyFlag, timeFlag, type SubmitFlags } from '../flags.js';
import { watchToEnd } from './watch.js';

/** Uploads what the job needs, submits it once, and waits where that is asked. */
export async function submit(run: Run, command: string[], flags: SubmitFlags): Promise<void> {
  const spec = flags.command ? await commandSpec(run, command, flags) : await batchSpec(run, command, flags);
  const body: CreateJobInput = {
    spec,
    ...(flags.gpu === undefined && flags.count === undefined
      ? {}
      : {
          workload: {
            accelerator: {
              count: flags.count ?? 1,
              ...(flags.gpu === undefined ? {} : { models: flags.gpu.split(',') }),
            },
          },
        }),
    ...(flags.maxCost === undefined ? {} : { maxCost: moneyFlag('--max-cost', flags.maxCost) }),
    ...(flags.name === undefined ? {} : { name: flags.name }),
    ...(flags.timeout === undefined ? {} : { timeoutS: Math.ceil(timeFlag('--timeout', flags.timeout)) }),
    ...(flags.keepWarm === undefined ? {} : { keepWarmS: Math.ceil(timeFlag('--keep-warm', flags.keepWarm)) }),
    ...(flags.project === undefined ? {} : { projectId: idArgument('prj')(flags.project) as `prj_${string}` }),
  };
  // The generated types repeat the contract's input field by field.
  const sent = body as never;
  if (flags.dryRun) {
    const preview = await answerOf(previewJob({ client: run.client, body: sent }));
    print(
      factsText(
        preview,
        [
          ['lines', preview.lines],
          ['shards', preview.shards],
          ['cost cap', dollars(preview.cap)],
        ],
        run.output,
      ),
    );
    if (!run.output.quiet) tell('Nothing was submitted.');
    return;
  }
  const job = await answerOf(
    createJob({ client: run.client, body: sent, headers: { 'Idempotency-Key': flags.idempotencyKey ?? randomUUID() } }),
  );
  if (flags.wait === undefined) {
    print(
      factsText(
        job,
        [
          ['id', job.id],
          ['state', job.state],
          ['lines', job.progress.linesTotal],
          ['shards', job.progress.shardsTotal],
          ['cost cap', dollars(job.cost.cap)],
        ],
        run.output,
      ),
    );
    if (!run.output.quiet) tell(`Follow it with: berth jobs watch ${job.id}`);
    return;
  }
  await watchToEnd(run, job.id, flags.wait === true ? null : timeFlag('--wait', flags.wait));
}

async function batchSpec(run: Run, command: string[], flags: SubmitFlags): Promise<CreateJobInput['spec']> {
  if (command.length > 0)
    throw new UsageError('a command needs --command before it: berth jobs submit --command -- CMD ARGS');
  if (flags.model === undefined || flags.input === undefined)
    throw new UsageError('a batch needs --model and --input; a command needs --command');
  const inputArtifactId = await upload(run, flags.input, 'application/x-ndjson', flags.project);
  return {
    kind: 'batch-inference',
    model: flags.model,
    inputArtifactId,
    ...(flags.linesPerShard === undefined ? {} : { linesPerShard: flags.linesPerShard }),
  };
}

async function commandSpec(run: Run, command: string[], flags: SubmitFlags): Promise<CreateJobInput['spec']> {
  if (command.length === 0) throw new UsageError('which command? berth jobs submit --command -- CMD ARGS');
  const env: Record<string, string> = {};
  for (const pair of flags.env) {
    const at = pair.indexOf('=');
    if (at < 1) throw new UsageError(`--env is NAME=value, not "${pair}"`);
    env[pair.slice(0, at)] = pair.slice(at + 1);
  }
  const inputs: { path: string; artifactId: `art_${string}` }[] = [];
  for (const pair of flags.in) {
    const at = pair.lastIndexOf(':');
    const [file, path] = at < 1 ? [pair, basename(pair)] : [pair.slice(0, at), pair.slice(at + 1)];
    inputs.push({ path, artifactId: await upload(run, file, 'application/octet-stream', flags.project) });
  }
  return { kind: 'command', command, env, inputs, outputs: flags.out };
}

/** Streams a file (or standard input) to the broker; returns the artifact's id. */
export async function upload(
  run: Pick<Run, 'login'>,
  file: string,
  mediaType: string,
  project?: string,
): Promise<`art_${string}`> {
  if (file !== '-' && !statSync(file, { throwIfNoEntry: false })?.isFile())
    throw new UsageError(`there is no file ${file}`);
  const source = file === '-' ? process.stdin : createReadStream(file);
  const query = new URLSearchParams({
    name: file === '-' ? 'stdin' : basename(file),
    ...(project === undefined ? {} : { projectId: project }),
  });
  const response = await rawRequest(run.login, 'POST', `/v1/artifacts?${query}`, {
    headers: { 'content-type': mediaType },
    body: Readable.toWeb(source) as ReadableStream<Uint8Array>,
    // Node's fetch wants this said for bodies that are streams.
    ...({ duplex: 'half' } as object),
  });
  return ((await response.json()) as { id: `art_${string}` }).id;
}
