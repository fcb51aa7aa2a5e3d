import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { idOf, quoteView, quoteWithDecision, workloadSchema } from '#contracts';
import type { Store } from '#platform/database';
import { Quotes, quotes, toQuoteView } from '#work/quotes';
import { route, type Call } from '../../http/route.js';
import { Serve } from '../../http/serve.js';
import { STORE } from '../../tokens.js';
import { inProject, projectOf } from '../project-of.js';

const tag = 'Placement';
const access = { roles: ['member', 'admin'] } as const;

const createQuote = route({
  method: 'POST',
  path: '/v1/quotes',
  tag,
  name: 'createQuote',
  summary: 'Lock a price for ten minutes',
  description:
    'Takes the decision for a workload among what can be rented now and locks the price per hour of its winner, with margin, plan and commitments. A job that names the quote while it is open has its first machine at that price, whatever the vendor asks meanwhile. Nothing is rented or reserved.',
  access,
  body: z.strictObject({ workload: workloadSchema, projectId: idOf('project').optional() }).meta({ id: 'CreateQuote' }),
  returns: quoteWithDecision,
  creates: true,
});

const listQuotes = route({
  method: 'GET',
  path: '/v1/quotes',
  tag,
  name: 'listQuotes',
  summary: 'List quotes, newest first',
  access,
  query: z.strictObject({ projectId: idOf('project').optional() }),
  returns: quoteView,
  page: true,
});

const getQuote = route({
  method: 'GET',
  path: '/v1/quotes/{id}',
  tag,
  name: 'getQuote',
  summary: 'Show a quote with its decision',
  access,
  params: z.strictObject({ id: idOf('quote') }),
  returns: quoteWithDecision,
});

@Controller()
export class QuotesController {
  constructor(
    private readonly quotes: Quotes,
    @Inject(STORE) private readonly store: Store,
  ) {}

  @Serve(createQuote)
  async create({ principal, body, remember }: Call<typeof createQuote>) {
    const project = await projectOf(this.store, principal, body.projectId);
    const { quote, decision } = await this.quotes.make(
      principal.actor,
      { ...project, workload: body.workload },
      (tx, made) => remember(tx, { ...toQuoteView(made.quote, made.quote.createdAt), decision: made.decision }),
    );
    return { ...toQuoteView(quote, quote.createdAt), decision };
  }

  @Serve(listQuotes)
  async list({ principal, query, page }: Call<typeof listQuotes>) {
    const { rows, now } = await this.store.transaction(principal.actor, async (tx) => ({
      rows: await tx.find(quotes, inProject(principal, query.projectId), { orderBy: [['id', 'desc']], ...page.order }),
      now: await tx.now(),
    }));
    return page.answer(
      rows,
      (row) => [row.id],
      (row) => toQuoteView(row, now),
    );
  }

  @Serve(getQuote)
  async get({ principal, params }: Call<typeof getQuote>) {
    const { quote, decision } = await this.quotes.get(principal.actor, params.id);
    const now = await this.store.transaction(principal.actor, (tx) => tx.now());
    return { ...toQuoteView(quote, now), decision };
  }
}
