import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import type { UnattributedUsage, UsageEvent, UsageReceipt } from '#client';
import { idArgument, withBroker, type Run } from '../command.js';
import { Ended, EXIT, tell, UsageError } from '../exit.js';
import { openInput } from '../input.js';
import { factsText, print, rowsText } from '../output.js';
import { quantityText } from '../text.js';

/** Events of one request; the broker takes up to 1,000. */
const BATCH = 500;
/** Requests under way at once. */
const AT_ONCE = 4;
/** Rejected lines that are told one by one. */
const TOLD = 20;
const PROGRESS_EVERY_MS = 2_000;
/** How long a failed request is tried again; it may have been taken in, and that does no harm. */
const TRIES = 5;
const FIRST_PAUSE_MS = 500;

interface Line {
  /** From 1. */
  readonly n: number;
  readonly event: UsageEvent;
}

interface Sent {
  accepted: number;
  unattributed: number;
  duplicates: number;
  rejected: number;
  readonly rejections: { line: number; code: string; field: string; reason: string }[];
}

/** `berth usage send`, below `berth usage`. */
export function registerUsageEvents(usage: Command): void {
  usage
    .command('send')
    .argument('<file>', 'one CloudEvent (JSON) a line; - reads standard input')
    .description('tell of usage that was measured elsewhere; sending a file again counts nothing twice')
    .addHelpText('after', '\nExamples:\n  berth usage send events.jsonl\n  gateway-meter | berth usage send - --json')
    .action(withBroker(sendFile));
  const unattributed = usage
    .command('unattributed')
    .description('events that belong to no project: list them, and say whose they are');
  unattributed
    .command('ls')
    .description('list them, oldest first')
    .addHelpText('after', '\nExamples:\n  berth usage unattributed ls\n  berth usage unattributed ls --json')
    .action(
      withBroker(async ({ client, output }) => {
        const { answerOf, listUnattributedUsage } = await import('#client');
        const found: UnattributedUsage[] = [];
        for (let cursor: string | null | undefined; cursor !== null;) {
          const query = { limit: 200, ...(cursor === undefined ? {} : { cursor }) };
          const page = await answerOf(listUnattributedUsage({ client, query }));
          found.push(...page.items);
          cursor = page.nextCursor;
        }
        print(
          rowsText(
            found,
            [
              { title: 'id', of: (e) => e.id },
              { title: 'at', of: (e) => e.at },
              { title: 'source', of: (e) => e.source },
              { title: 'event', of: (e) => e.eventId },
              { title: 'quantity', of: (e) => quantityText(e.quantity, e.unit), right: true },
              { title: 'names', of: (e) => e.projectId ?? e.jobId ?? e.leaseId ?? '' },
              { title: 'why', of: (e) => e.reason },
            ],
            output,
          ),
        );
      }),
    );
  unattributed
    .command('attribute')
    .argument('<event...>', 'ids from `berth usage unattributed ls`', eventIds)
    .description('say to which project they belong; all of them, or none where one is not there')
    .requiredOption('--project <id>', 'to this project', idArgument('prj'))
    .option('--job <id>', 'and to this job', idArgument('job'))
    .addHelpText('after', '\nExamples:\n  berth usage unattributed attribute use_01j… use_01j… --project prj_01j…')
    .action(
      withBroker(async ({ client, output }, ids: string[], o: { project: string; job?: string }) => {
        const { answerOf, attributeUsage } = await import('#client');
        // Arguments and options were checked for their form.
        const projectId = o.project as `prj_${string}`;
        const of = o.job === undefined ? {} : { jobId: o.job as `job_${string}` };
        const body = { ids: ids as `use_${string}`[], projectId, ...of };
        const { attributed } = await answerOf(attributeUsage({ client, body }));
        print(factsText({ attributed }, [['attributed', String(attributed)]], output));
      }),
    );
}

const eventId = idArgument('use');
function eventIds(text: string, before: readonly string[] = []): string[] {
  return [...before, eventId(text)];
}

async function sendFile(run: Run, file: string): Promise<void> {
  const sent: Sent = { accepted: 0, unattributed: 0, duplicates: 0, rejected: 0, rejections: [] };
  const began = Date.now();
  let toldAt = began;
  const underWay = new Set<Promise<void>>();
  const failed: unknown[] = [];
  const go = async (lines: readonly Line[]): Promise<void> => {
    add(sent, lines, await sendBatch(run, lines));
    if (run.output.quiet || Date.now() - toldAt < PROGRESS_EVERY_MS) return;
    toldAt = Date.now();
    tell(`${(sent.accepted + sent.duplicates + sent.rejected).toLocaleString('en')} events`);
  };
  for await (const lines of batchesOf(file)) {
    const one = go(lines).catch((error: unknown) => void failed.push(error));
    underWay.add(one);
    void one.then(() => underWay.delete(one));
    if (underWay.size >= AT_ONCE) await Promise.race(underWay);
    if (failed.length > 0) break;
  }
  await Promise.all(underWay);
  if (failed.length > 0) throw failed[0];
  report(run, sent);
}

/** Lines of the file in batches; an empty line is none. */
async function* batchesOf(file: string): AsyncGenerator<Line[]> {
  const input = file === '-' ? process.stdin : createReadStream('', { fd: await openInput(file) });
  let batch: Line[] = [];
  let n = 0;
  for await (const text of createInterface({ input, crlfDelay: Infinity })) {
    n += 1;
    if (text.trim() === '') continue;
    batch.push({ n, event: eventOf(text, file, n) });
    if (batch.length === BATCH) {
      yield batch;
      batch = [];
    }
  }
  if (batch.length > 0) yield batch;
}

function eventOf(text: string, file: string, n: number): UsageEvent {
  try {
    return JSON.parse(text) as UsageEvent;
  } catch {
    throw new UsageError(
      `${file}, line ${n} is not JSON; what stands before it may have been sent: send the file again`,
    );
  }
}

async function sendBatch(run: Run, lines: readonly Line[]): Promise<UsageReceipt> {
  const { answerOf, sendUsageEvents } = await import('#client');
  for (let attempt = 1; ; attempt++) {
    try {
      return await answerOf(sendUsageEvents({ client: run.client, body: lines.map((l) => l.event) }));
    } catch (error) {
      if (attempt >= TRIES || !passes(error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, FIRST_PAUSE_MS * 2 ** attempt));
    }
  }
}

/** A broker that cannot be reached, is busy or asks to wait. */
function passes(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error.name === 'BrokerUnreachable') return true;
  const status = 'problem' in error ? (error.problem as { status?: number }).status : undefined;
  return status === 429 || (status ?? 0) >= 500;
}

function add(sent: Sent, lines: readonly Line[], receipt: UsageReceipt): void {
  sent.accepted += receipt.accepted;
  sent.unattributed += receipt.unattributed;
  sent.duplicates += receipt.duplicates;
  sent.rejected += receipt.rejected;
  for (const [i, { outcome, code, field = '', reason = '' }] of receipt.results.entries())
    if (outcome === 'rejected')
      sent.rejections.push({
        line: lines[i]?.n ?? 0,
        code: code ?? 'invalid',
        // The line stands for the place in the batch.
        field: field.replace(/^\[\d+\]\.?/, ''),
        reason,
      });
}

function report({ output }: Run, sent: Sent): void {
  sent.rejections.sort((a, b) => a.line - b.line);
  print(
    factsText(
      sent,
      [
        ['accepted', sent.accepted],
        ['of them unattributed', sent.unattributed || null],
        ['duplicates', sent.duplicates],
        ['rejected', sent.rejected],
      ],
      output,
    ),
  );
  if (sent.rejected === 0) return;
  const told = sent.rejections
    .slice(0, TOLD)
    .map((r) => `  line ${r.line}: ${r.field === '' ? 'the event' : r.field} ${r.reason}`);
  if (sent.rejections.length > TOLD) told.push(`  and ${sent.rejections.length - TOLD} more; --json tells of all`);
  throw new Ended(EXIT.failed, [`${sent.rejected} events were rejected`, ...told].join('\n'));
}
