import {
  addCredit,
  answerOf,
  brokerClient,
  createJob,
  createOrganization,
  getBalance,
  getInvoice,
  getMe,
  getUsage,
  listInvoices,
  listOffers,
  previewPlacement,
  type Client,
} from '#client';
import type { JobView, PlacementView } from '#contracts';
import { quantityText } from '../commands/money.js';
import { follow } from '../jobs/watch.js';
import { readState, writeState } from '../local/state.js';
import { rowsText } from '../output.js';
import { rawRequest, type Login } from '../session.js';
import { dollars, duration } from '../text.js';
import { neighboursOf, vectorsOf } from './neighbours.js';
import type { Stage } from './stage.js';
import { chatBatch, embeddingBatch, texts } from './texts.js';

const CREDIT = '25000000000';
const LOW = 5_000_000_000n;
const TABLE = { json: false, quiet: false, table: true } as const;

export interface Told {
  readonly login: Login;
  readonly client: Client;
}

/** The demo's own tenant: made once with $25, topped up when it runs low. */
export async function tenant(stage: Stage, home: string, url: string, platformKey: string): Promise<Told> {
  const platform = brokerClient({ url, key: platformKey });
  return stage.step('A tenant with $25 of credit', async () => {
    const known = readState(home).demo;
    const works =
      known !== undefined &&
      (await answerOf(getMe({ client: brokerClient({ url, key: known.key }) })).catch(() => null)) !== null;
    let demo = works ? known : undefined;
    if (demo === undefined) {
      const made = await answerOf(
        createOrganization({ client: platform, body: { name: 'demo', kind: 'tenant', keyName: 'demo' } }),
      );
      demo = { organizationId: made.organization.id, projectId: made.project?.id ?? '', key: made.key?.secret ?? '' };
      await answerOf(
        addCredit({
          client: platform,
          body: { organizationId: demo.organizationId, amountNano: CREDIT, kind: 'grant', reference: 'demo start' },
        }),
      );
      writeState(home, { demo });
    }
    const client = brokerClient({ url, key: demo.key });
    let balance = await answerOf(getBalance({ client }));
    let said = works ? 'from an earlier run' : 'new';
    if (BigInt(balance.available) < LOW) {
      await answerOf(
        addCredit({
          client: platform,
          body: {
            organizationId: demo.organizationId,
            amountNano: CREDIT,
            kind: 'grant',
            reference: `demo top-up ${Date.now()}`,
          },
        }),
      );
      balance = await answerOf(getBalance({ client }));
      said = 'topped up by $25, it had run low';
    }
    stage.show(`organization ${demo.organizationId} (${said}), available ${dollars(balance.available)}`);
    return { login: { url, key: demo.key }, client };
  });
}

/** berth offers --gpu H100 --sort price */
export async function market(stage: Stage, { client }: Told): Promise<number> {
  return stage.step('The market: cheapest H100 offers of all price lists', async () => {
    const { items } = await answerOf(listOffers({ client, query: { gpu: 'H100', sort: 'gpu-price', limit: 5 } }));
    stage.show(
      rowsText(
        items,
        [
          { title: 'provider', of: (o) => o.providerId },
          { title: 'accelerator', of: (o) => `${o.count} x ${o.accelerator}` },
          { title: 'region', of: (o) => o.region },
          { title: 'pricing', of: (o) => o.pricing },
          { title: '$/gpu-h', of: (o) => dollars(o.pricePerGpuHour ?? '0'), right: true },
          { title: 'seen', of: (o) => o.observedAt.slice(0, 10) },
          { title: 'note', of: (o) => (o.doubts.length > 0 ? 'doubtful' : o.status) },
        ],
        TABLE,
      ),
    );
    return items.length;
  });
}

export async function preview(stage: Stage, { client }: Told): Promise<PlacementView> {
  return stage.step('Where would an 8-GPU training job go? (10 hours of 8 x H100, over all real offers)', async () => {
    const workload = {
      accelerator: { models: ['H100', 'A100-80GB'], count: 8, interconnect: 'nvswitch' },
      work: { kind: 'gpu-hours', hours: 10, reference: 'H100-SXM' },
    };
    // The generated types and the contract describe the same answer.
    const decision = (await answerOf(
      previewPlacement({ client, body: { workload: workload as never, scope: 'market', limit: 5 } }),
    )) as unknown as PlacementView;
    stage.show(
      rowsText(
        decision.candidates,
        [
          { title: '#', of: (c) => c.rank, right: true },
          { title: 'provider', of: (c) => c.offer.providerId },
          { title: 'accelerator', of: (c) => `${c.offer.count} x ${c.offer.accelerator}` },
          { title: 'region', of: (c) => c.offer.region },
          { title: 'pricing', of: (c) => c.offer.pricing },
          { title: '$/h', of: (c) => dollars(c.offer.pricePerHour), right: true },
          { title: 'takes', of: (c) => duration(c.expectedS), right: true },
          { title: 'finished', of: (c) => dollars(c.cost.total), right: true },
          { title: 'fit', of: (c) => Math.round(c.scores.gpuFit), right: true },
          { title: 'link', of: (c) => Math.round(c.scores.interconnect), right: true },
          { title: 'rel', of: (c) => Math.round(c.scores.reliability), right: true },
          { title: 'price', of: (c) => Math.round(c.scores.price), right: true },
        ],
        TABLE,
      ),
    );
    for (const c of decision.candidates) stage.show(`${c.rank}. ${c.reasons.slice(0, 3).join(' ')}`);
    const rejected = Object.entries(decision.rejections).sort(([, a], [, b]) => b - a);
    stage.show(
      `${decision.considered} offers looked at, ${decision.fitting} fit. Rejected: ${rejected.map(([d, n]) => `${n} by ${d}`).join(', ')}.`,
    );
    return decision;
  });
}

async function uploadText(login: Login, name: string, body: string): Promise<`art_${string}`> {
  const response = await rawRequest(login, 'POST', `/v1/artifacts?name=${name}`, {
    headers: { 'content-type': 'application/x-ndjson' },
    body,
  });
  return ((await response.json()) as { id: `art_${string}` }).id;
}

/** Submits a batch and follows it to its end; what happens to it is shown as it happens. */
async function runBatch(
  stage: Stage,
  told: Told,
  title: string,
  of: { model: string; name: string; body: string },
): Promise<JobView> {
  const changes: string[] = [];
  const job = await stage.step(title, async (say) => {
    const inputArtifactId = await uploadText(told.login, of.name, of.body);
    const created = await answerOf(
      createJob({
        client: told.client,
        body: { name: of.name, spec: { kind: 'batch-inference', model: of.model, inputArtifactId } } as never,
      }),
    );
    changes.push(
      `cost cap ${dollars(created.cost.cap)} set aside; ${created.progress.linesTotal} requests in ${created.progress.shardsTotal} shards`,
    );
    const began = Date.now();
    return follow(
      told.login,
      created.id,
      {
        onChange: (message) => void changes.push(message),
        onProgress: ({ progress, cost }) => {
          const done = progress.linesOk + progress.linesFailed;
          const rate = done / Math.max(0.001, (Date.now() - began) / 1_000);
          say(
            `${done} of ${progress.linesTotal} requests, ${progress.shardsDone} of ${progress.shardsTotal} shards, ${rate.toFixed(0)} a second, ${dollars(cost.charged)} so far`,
          );
        },
      },
      new AbortController().signal,
    );
  });
  stage.show(changes.join('\n'));
  if (job.state !== 'succeeded') throw new Error(`the job ended as ${job.state}: ${job.reason ?? 'no reason given'}`);
  const seconds = (Date.parse(job.endedAt ?? '') - Date.parse(job.startedAt ?? '')) / 1_000;
  stage.show(
    `${job.progress.linesOk} of ${job.progress.linesTotal} requests in ${duration(seconds)} (${(job.progress.linesOk / seconds).toFixed(0)} a second), charged ${dollars(job.cost.charged)}`,
  );
  return job;
}

export async function embed(stage: Stage, told: Told): Promise<JobView> {
  return runBatch(stage, told, 'Embed 2,000 public-domain texts on this machine', {
    model: 'universal-sentence-encoder',
    name: 'texts.jsonl',
    body: embeddingBatch(texts()),
  });
}

const SHOWN = ['LISP', 'Real Programmer', 'letterbomb'];

/** That the results mean something: the nearest neighbours of three texts. */
export async function meaning(stage: Stage, told: Told, job: JobView): Promise<number> {
  return stage.step('What the results say: nearest neighbours of three texts', async () => {
    const vectors = vectorsOf(await (await rawRequest(told.login, 'GET', `/v1/jobs/${job.id}/results`)).text());
    const list = texts();
    if (vectors.size !== list.length) throw new Error(`${vectors.size} results for ${list.length} texts`);
    for (const title of SHOWN) {
      const text = list.find((t) => t.title === title);
      if (!text) continue;
      const near = neighboursOf(text.id, vectors, list, 3).map((n) => `${n.title} (${n.similarity.toFixed(2)})`);
      stage.show(
        `"${text.title}": ${text.text.slice(0, 90)}${text.text.length > 90 ? '…' : ''}\n    nearest: ${near.join(', ')}`,
      );
    }
    return vectors.size;
  });
}

export async function chat(stage: Stage, told: Told): Promise<JobView> {
  const job = await runBatch(stage, told, 'A smaller batch of chat completions (llama.cpp in process)', {
    model: 'tiny-llama-seeded',
    name: 'chat.jsonl',
    body: chatBatch(),
  });
  stage.show(
    'The model is a tiny seeded one made on this machine: its text is noise; the engine, tokens, limits and prices are real. Any GGUF file takes its place.',
  );
  return job;
}

/** Usage, ledger and the draft invoice; all three must say the same. */
export async function books(
  stage: Stage,
  { client }: Told,
): Promise<{ total: string; available: string; invoice: string }> {
  return stage.step('Usage, ledger, invoice', async () => {
    const usage = await answerOf(getUsage({ client, query: { by: 'resource' } }));
    stage.show(
      rowsText(
        usage.totals,
        [
          { title: 'resource', of: (t) => t.group },
          { title: 'meter', of: (t) => t.meter },
          { title: 'quantity', of: (t) => quantityText(t.quantity, t.unit), right: true },
          { title: 'amount', of: (t) => dollars(t.amount), right: true },
        ],
        TABLE,
      ),
    );
    const balance = await answerOf(getBalance({ client }));
    stage.show(
      `credit: ${dollars(balance.balance)} balance, ${dollars(balance.held)} held, ${dollars(balance.available)} available`,
    );
    const draft = (await answerOf(listInvoices({ client, query: { limit: 1 } }))).items[0];
    if (!draft) throw new Error('there is no draft invoice');
    const invoice = await answerOf(getInvoice({ client, path: { id: draft.id } }));
    stage.show(
      `${invoice.state} invoice ${invoice.id}: ${invoice.lines.length} lines, ${dollars(invoice.total)} exactly, ${dollars(BigInt(invoice.totalCents) * 10_000_000n)} to the cent`,
    );
    return { total: invoice.total, available: balance.available, invoice: invoice.id };
  });
}
