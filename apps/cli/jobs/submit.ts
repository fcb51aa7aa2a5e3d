import { createHash, randomUUID } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import { Readable } from 'node:stream';
import { answerOf, createJob, previewJob } from '#client';
import type { CreateJobInput } from '#contracts';
import type { Run } from '../command.js';
import { tell, UsageError } from '../exit.js';
import { openInput } from '../input.js';
import { answeredOnce } from '../once.js';
import { factsText, print } from '../output.js';
import { rawRequest } from '../session.js';
import { dollars } from '../text.js';
import type { SubmitFlags } from './submit-flags.js';
import { neededBy, workOf } from '../commands/workload-of.js';
import { watchToEnd } from './watch.js';

/** The options of the workload; nothing where none was given, so that Berth (or the quote) says all of it. */
export function workloadOf(o: SubmitFlags): Pick<CreateJobInput, 'workload'> {
  if (o.takes !== undefined && o.gpuHours !== undefined)
    throw new UsageError('--takes or --gpu-hours: one of them says how much work there is');
  const work = workOf({
    ...(o.takes === undefined ? {} : { hours: o.takes / 3_600 }),
    ...(o.gpuHours === undefined ? {} : { gpuHours: o.gpuHours }),
    ...(o.reference === undefined ? {} : { reference: o.reference }),
  });
  const workload: NonNullable<CreateJobInput['workload']> = {
    ...neededBy(o),
    ...(work === undefined ? {} : { work }),
  };
  return Object.keys(workload).length > 0 ? { workload } : {};
}

/** Uploads what the job needs, submits it once, and waits where that is asked. */
export async function submit(run: Run, command: string[], flags: SubmitFlags): Promise<void> {
  const key = flags.idempotencyKey ?? randomUUID();
  const spec = flags.command ? await commandSpec(run, command, flags, key) : await batchSpec(run, command, flags, key);
  const body: CreateJobInput = {
    spec,
    ...workloadOf(flags),
    ...(flags.quote === undefined ? {} : { quoteId: flags.quote as `qt_${string}` }),
    ...(flags.maxCost === undefined ? {} : { maxCost: flags.maxCost }),
    ...(flags.name === undefined ? {} : { name: flags.name }),
    ...(flags.timeout === undefined ? {} : { timeoutS: Math.ceil(flags.timeout) }),
    ...(flags.keepWarm === undefined ? {} : { keepWarmS: Math.ceil(flags.keepWarm) }),
    ...(flags.project === undefined ? {} : { projectId: flags.project as `prj_${string}` }),
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
    if (!run.output.quiet) tell('Nothing was submitted; the input was uploaded to be checked.');
    return;
  }
  const job = await submittedOnce(
    run,
    key,
    answerOf(createJob({ client: run.client, body: sent, headers: { 'Idempotency-Key': key } })),
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
          ...(job.deadlineAt === null ? [] : [['deadline', job.deadlineAt] as const]),
        ],
        run.output,
      ),
    );
    if (!run.output.quiet) tell(`Follow it with: berth jobs watch ${job.id}`);
    return;
  }
  await watchToEnd(run, job.id, flags.wait === true ? null : flags.wait);
}

/** The answer to a submission; when none came, how to find out what became of it. */
export function submittedOnce<T>(run: Run, key: string, answer: Promise<T>): Promise<T> {
  return answeredOnce(run, { key, unsure: 'the job may have been submitted', again: 'submits it once' }, answer);
}

async function batchSpec(
  run: Run,
  command: string[],
  flags: SubmitFlags,
  key: string,
): Promise<CreateJobInput['spec']> {
  if (command.length > 0)
    throw new UsageError('a command needs --command before it: berth jobs submit --command -- CMD ARGS');
  if (flags.model === undefined || flags.input === undefined)
    throw new UsageError('a batch needs --model and --input; a command needs --command');
  const inputArtifactId = await upload(run, flags.input, 'application/x-ndjson', { key, project: flags.project });
  return {
    kind: 'batch-inference',
    model: flags.model,
    inputArtifactId,
    ...(flags.billing === undefined ? {} : { billing: flags.billing }),
    ...(flags.linesPerShard === undefined ? {} : { linesPerShard: flags.linesPerShard }),
  };
}

async function commandSpec(
  run: Run,
  command: string[],
  flags: SubmitFlags,
  key: string,
): Promise<CreateJobInput['spec']> {
  if (command.length === 0) throw new UsageError('which command? berth jobs submit --command -- CMD ARGS');
  const inputs: { path: string; artifactId: `art_${string}` }[] = [];
  for (const pair of flags.in) {
    const at = pair.lastIndexOf(':');
    const [file, path] = at < 1 ? [pair, basename(pair)] : [pair.slice(0, at), pair.slice(at + 1)];
    inputs.push({
      path,
      artifactId: await upload(run, file, 'application/octet-stream', { key, project: flags.project }),
    });
  }
  return { kind: 'command', command, env: flags.env, inputs, outputs: flags.out };
}

/**
 * Streams a file (or standard input) to the broker; returns the artifact's id. A submission that is repeated with its
 * key finds the same file again: the upload's key is made from the submission's and the content.
 */
async function upload(
  { login }: Pick<Run, 'login'>,
  file: string,
  mediaType: string,
  { key, project }: { key: string; project: string | undefined },
): Promise<`art_${string}`> {
  const query = new URLSearchParams({
    name: file === '-' ? 'stdin' : basename(file),
    ...(project === undefined ? {} : { projectId: project }),
  });
  const send = async (body: Readable, content: string | null): Promise<`art_${string}`> => {
    const response = await rawRequest(login, 'POST', `/v1/artifacts?${query}`, {
      headers: { 'content-type': mediaType, ...(content === null ? {} : { 'idempotency-key': content }) },
      body: Readable.toWeb(body) as ReadableStream<Uint8Array>,
      // Node's fetch wants this said for bodies that are streams.
      ...({ duplex: 'half' } as object),
    });
    return ((await response.json()) as { id: `art_${string}` }).id;
  };
  if (file === '-') {
    if (process.stdin.isTTY) tell('Reading from the terminal; end with Enter and Ctrl-D.');
    return send(process.stdin, null);
  }
  const handle = await openInput(file);
  try {
    const isFile = (await handle.stat()).isFile();
    const content = isFile ? await digest(handle, `${key} ${mediaType} ${query}`) : null;
    return await send(handle.createReadStream(isFile ? { autoClose: false, start: 0 } : { autoClose: false }), content);
  } finally {
    await handle.close();
  }
}

async function digest(handle: FileHandle, start: string): Promise<string> {
  const hash = createHash('sha256').update(start);
  for await (const chunk of handle.createReadStream({ autoClose: false, start: 0 })) hash.update(chunk as Uint8Array);
  return hash.digest('base64url');
}
