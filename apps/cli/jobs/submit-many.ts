import { randomUUID } from 'node:crypto';
import { answerOf, createJobs } from '#client';
import type { Run } from '../command.js';
import { tell, UsageError } from '../exit.js';
import type { SubmitManyFlags } from './submit-flags.js';
import { readInput } from '../input.js';
import { print, rowsText } from '../output.js';
import { dollars } from '../text.js';
import { submittedOnce } from './submit.js';

/** Submits the jobs of a file together: all or none. */
export async function submitMany(run: Run, file: string, flags: SubmitManyFlags): Promise<void> {
  const key = flags.idempotencyKey ?? randomUUID();
  const jobs = jobsOf(await readInput(file)).map((job) =>
    flags.maxCost === undefined ? job : { maxCost: flags.maxCost, ...job },
  );
  const body = { jobs, ...(flags.project === undefined ? {} : { projectId: flags.project }) };
  // The lines are as they were written: it is the broker that checks them.
  const sent = body as never;
  const { items } = await submittedOnce(
    run,
    key,
    answerOf(createJobs({ client: run.client, body: sent, headers: { 'Idempotency-Key': key } })),
  );
  print(
    rowsText(
      items,
      [
        { title: 'id', of: (r) => r.id },
        { title: 'name', of: (r) => r.name },
        { title: 'state', of: (r) => r.state },
        { title: 'lines', of: (r) => String(r.progress.linesTotal), right: true },
        { title: 'cap', of: (r) => dollars(r.cost.cap), right: true },
      ],
      run.output,
    ),
  );
  if (run.output.quiet) return;
  const sum = items.reduce((n, job) => n + BigInt(job.cost.cap), 0n);
  tell(
    `${items.length} ${items.length === 1 ? 'job' : 'jobs'} submitted; ${dollars(String(sum))} are set aside for them together.`,
  );
}

/** One job a line; empty lines count for nothing. */
function jobsOf(text: string): object[] {
  const jobs: object[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    let job: unknown;
    try {
      job = JSON.parse(line);
    } catch {
      job = null;
    }
    if (typeof job !== 'object' || job === null || Array.isArray(job))
      throw new UsageError(`line ${i + 1} is not a JSON object`);
    jobs.push(job);
  }
  if (jobs.length === 0)
    throw new UsageError('there is no job in it: one JSON object a line, as POST /v1/jobs takes it');
  return jobs;
}
