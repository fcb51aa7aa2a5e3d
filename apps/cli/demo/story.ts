import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { answerOf, getBalance, getInvoice, getUsage, listInvoices, listOffers, previewPlacement } from '#client';
import type { JobView, PlacementView } from '#contracts';
import { prepareTenant } from '../local/tenant.js';
import { rowsText } from '../output.js';
import { rawRequest } from '../session.js';
import { dollars, duration, quantityText } from '../text.js';
import { runBatch, small, type Told } from './batch.js';
import { neighboursOf, vectorsOf } from './neighbours.js';
import type { Stage } from './stage.js';
import { chatBatch, embeddingBatch, texts } from './texts.js';

const TABLE = { json: false, csv: false, quiet: false, table: true } as const;

/** The demo's own tenant: made once with $25, topped up when it runs low. */
export async function tenant(stage: Stage, home: string, url: string, platformKey: string): Promise<Told> {
  return stage.step('A tenant with credit', async (tell) => {
    const { tenant, client, origin, available } = await prepareTenant(home, url, platformKey);
    const how = {
      new: 'made now, with a grant of $25',
      kept: 'kept from an earlier run',
      'topped-up': 'had less than $5 left and was given another $25',
    }[origin];
    tell.found(`organization ${tenant.organizationId} (demo): ${how}; ${dollars(available)} to spend`);
    return { login: { url, key: tenant.key }, client };
  });
}

/** berth offers --gpu H100 --sort gpu-price */
export async function market(stage: Stage, { client }: Told): Promise<number> {
  return stage.step('The market: the cheapest H100s of all price lists', async (tell) => {
    const { items } = await answerOf(listOffers({ client, query: { gpu: 'H100', sort: 'gpu-price', limit: 5 } }));
    tell.found(
      rowsText(
        items,
        [
          { title: 'provider', of: (o) => o.providerId },
          { title: 'accelerator', of: (o) => `${o.count} x ${o.accelerator}` },
          { title: 'region', of: (o) => o.region },
          { title: 'pricing', of: (o) => o.pricing },
          { title: '$/gpu-h', of: (o) => dollars(o.pricePerGpuHour ?? '0'), right: true },
          { title: 'price of', of: (o) => o.observedAt.slice(0, 10) },
          { title: 'note', of: (o) => (o.doubts.length > 0 ? 'doubtful' : o.status) },
        ],
        TABLE,
      ),
    );
    tell.found('Real public price lists with the day they were read; doubtful ones contradict others and never win.');
    return items.length;
  });
}

/** berth placement preview --gpu H100,A100-80GB --count 8 --interconnect nvswitch --gpu-hours 10 */
export async function preview(stage: Stage, { client }: Told): Promise<PlacementView> {
  return stage.step('Where would ten hours of 8 x H100 with NVSwitch go? All offers, nothing rented', async (tell) => {
    const workload = {
      accelerator: { models: ['H100', 'A100-80GB'], count: 8, interconnect: 'nvswitch' },
      work: { kind: 'gpu-hours', hours: 10, reference: 'H100-SXM' },
    };
    // The generated types and the contract describe the same answer.
    const decision = (await answerOf(
      previewPlacement({ client, body: { workload: workload as never, scope: 'market', limit: 5 } }),
    )) as unknown as PlacementView;
    tell.found(
      rowsText(
        decision.candidates,
        [
          { title: '#', of: (c) => c.rank, right: true },
          { title: 'provider', of: (c) => c.offer.providerId },
          { title: 'accelerator', of: (c) => `${c.offer.count} x ${c.offer.accelerator}` },
          { title: 'region', of: (c) => c.offer.region },
          { title: 'pricing', of: (c) => c.offer.pricing },
          { title: '$/h', of: (c) => dollars(c.offer.pricePerHour), right: true },
          { title: 'done in', of: (c) => duration(c.expectedS), right: true },
          { title: 'counts', of: (c) => dollars(c.cost.total), right: true },
          { title: 'gpu fit', of: (c) => Math.round(c.scores.gpuFit), right: true },
          { title: 'link', of: (c) => Math.round(c.scores.interconnect), right: true },
          { title: 'reliable', of: (c) => Math.round(c.scores.reliability), right: true },
          { title: 'price', of: (c) => Math.round(c.scores.price), right: true },
        ],
        TABLE,
      ),
    );
    const [best, ...others] = decision.candidates;
    if (best) tell.found(`Why the first:\n${best.reasons.map((r) => `- ${r}`).join('\n')}`);
    const whys = others.map((c) => `- ${c.offer.sku} in ${c.offer.region}: ${c.reasons[0] ?? ''}`);
    if (whys.length > 0) tell.found(`And the others:\n${whys.join('\n')}`);
    const rejected = Object.entries(decision.rejections).sort(([, a], [, b]) => b - a);
    tell.found(
      `${decision.considered} offers looked at, ${decision.fitting} fit. Rejected: ${rejected.map(([d, n]) => `${n} by ${d}`).join(', ')}.`,
    );
    return decision;
  });
}

export async function embed(stage: Stage, told: Told, onFirst: () => void): Promise<JobView> {
  const batch = { model: 'universal-sentence-encoder', name: 'texts.jsonl', body: embeddingBatch(texts()) };
  return runBatch(stage, told, 'The main job: embed 2,000 public-domain texts on this machine', batch, onFirst);
}

const SHOWN = ['LISP', 'Real Programmer', 'letterbomb'];

/** That the results mean something: the nearest neighbours of three texts. */
export async function meaning(stage: Stage, told: Told, job: JobView): Promise<number> {
  return stage.step('Do the results mean something? Nearest neighbours of three texts', async (tell) => {
    const vectors = vectorsOf(await (await rawRequest(told.login, 'GET', `/v1/jobs/${job.id}/results`)).text());
    const list = texts();
    if (vectors.size !== list.length) throw new Error(`${vectors.size} results for ${list.length} texts`);
    for (const title of SHOWN) {
      const text = list.find((t) => t.title === title);
      if (!text) throw new Error(`there is no text "${title}"`);
      const near = neighboursOf(text.id, vectors, list, 3).map((n) => `${n.title} ${n.similarity.toFixed(2)}`);
      const start = text.text.length > 76 ? `${text.text.slice(0, 75)}…` : text.text;
      tell.found(`${text.title}: "${start}"\n  nearest: ${near.join(', ')}`);
    }
    return vectors.size;
  });
}

const chatLine = z.object({
  response: z.object({
    body: z.object({
      choices: z.array(z.object({ message: z.object({ content: z.string() }) })).min(1),
      usage: z.object({ prompt_tokens: z.int(), completion_tokens: z.int() }),
    }),
  }),
});

export interface ChatOutcome {
  readonly job: JobView;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** A second, smaller job on another engine. */
export async function chat(stage: Stage, told: Told): Promise<ChatOutcome> {
  const batch = { model: 'tiny-llama-seeded', name: 'chat.jsonl', body: chatBatch() };
  const job = await runBatch(stage, told, 'A second job: 40 chat completions with llama.cpp', batch);
  return stage.step('What they answered', async (tell) => {
    const text = await (await rawRequest(told.login, 'GET', `/v1/jobs/${job.id}/results`)).text();
    const bodies = text
      .trim()
      .split('\n')
      .map((line) => chatLine.parse(JSON.parse(line)).response.body);
    const inputTokens = bodies.reduce((sum, { usage }) => sum + usage.prompt_tokens, 0);
    const outputTokens = bodies.reduce((sum, { usage }) => sum + usage.completion_tokens, 0);
    const sample = bodies[0]?.choices[0]?.message.content ?? '';
    tell.found(
      `${inputTokens} tokens in, ${outputTokens} out, charged ${small(job.cost.charged)}. The first answer: ${JSON.stringify(sample.slice(0, 60))}`,
    );
    tell.found(
      'That is noise: no language model is small enough to ship, so this one has random weights from a fixed seed. The engine, the\ntokens, the limits and the price are real; `--gguf FILE` gives the agent a model that has learnt something.',
    );
    return { job, inputTokens, outputTokens };
  });
}

export interface Books {
  readonly total: string;
  readonly balance: string;
  readonly available: string;
  readonly invoice: string;
  /** Where the invoice lies as PDF. */
  readonly pdf: string;
}

/** Usage, ledger and the draft invoice; usage and invoice must say the same. */
export async function books(stage: Stage, home: string, { client, login }: Told): Promise<Books> {
  return stage.step('The books: usage, ledger, draft invoice', async (tell) => {
    const usage = await answerOf(getUsage({ client, query: { by: 'resource' } }));
    const draft = (await answerOf(listInvoices({ client, query: { limit: 1 } }))).items[0];
    if (!draft) throw new Error('there is no draft invoice');
    const invoice = await answerOf(getInvoice({ client, path: { id: draft.id } }));
    const balance = await answerOf(getBalance({ client }));
    tell.found(
      rowsText(
        invoice.lines,
        [
          { title: 'resource', of: (l) => l.resource },
          { title: 'meter', of: (l) => l.meter },
          { title: 'quantity', of: (l) => quantityText(l.quantity, l.unit), right: true },
          { title: 'used', of: (l) => small(l.amount), right: true },
          { title: 'invoiced', of: (l) => dollars(BigInt(l.cents) * 10_000_000n), right: true },
        ],
        TABLE,
      ),
    );
    tell.found(
      `Draft invoice ${invoice.id} for ${invoice.periodStart.slice(0, 7)}: ${dollars(BigInt(invoice.totalCents) * 10_000_000n)} (${small(invoice.usage)} unrounded). Time on the machine is what costs; tokens and lines are counted.`,
    );
    tell.found(
      `Usage of 30 days says ${small(usage.amount)}. Credit: ${small(balance.balance)}, of which ${dollars(balance.held)} is held for running jobs.`,
    );
    const pdf = join(home, 'invoices', `${invoice.number ?? `draft-${invoice.periodStart.slice(0, 7)}`}.pdf`);
    await mkdir(dirname(pdf), { recursive: true });
    const answer = await rawRequest(login, 'GET', `/v1/invoices/${invoice.id}/pdf`);
    await writeFile(pdf, new Uint8Array(await answer.arrayBuffer()));
    tell.found(
      `As PDF: ${pdf}. It is issued two days after the month is over, with a number, and paid from the credit already.`,
    );
    const { balance: left, available } = balance;
    return { total: invoice.usage, balance: left, available, invoice: invoice.id, pdf };
  });
}
