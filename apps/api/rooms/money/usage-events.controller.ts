import { Controller, Inject } from '@nestjs/common';
import { Counter } from 'prom-client';
import { z } from 'zod';
import { DAY, DomainError, MINUTE } from '#kernel';
import { idOf, isoTime } from '#contracts';
import type { Actor } from '#platform/database';
import type { Principal } from '#identity/tenancy';
import {
  EVENT_BATCH_MAX,
  EVENT_FUTURE_MS,
  EVENT_PAST_MS,
  EVENT_TEXT_MAX,
  eventMeters,
  unattributedReasons,
  UsageEvents,
  type EventAnswer,
  type UnattributedRow,
} from '#money/metering';
import type { Ground } from '../../ground.js';
import { route, type Call } from '../../http/route.js';
import { Serve } from '../../http/serve.js';
import { GROUND } from '../../services.js';
import { timeText } from '../shapes.js';

const tag = 'Money';
const eventText = z.string().min(1).max(EVENT_TEXT_MAX);
const SINGLE = 'application/cloudevents+json';
const BATCH = 'application/cloudevents-batch+json';
const MAX_BYTES = 4_194_304;

/** For the document only: events are read one by one in `#money/metering`, so that each gets an answer of its own. */
const usageEventSchema = z
  .looseObject({
    specversion: z.literal('1.0'),
    id: eventText.describe('Unique among the events of its `source`'),
    source: eventText.describe('Who tells, such as `/gateways/eu-1`'),
    type: eventText.describe('Yours to choose; not read'),
    time: isoTime.describe(
      `When it was used, in any offset: at most ${EVENT_PAST_MS / DAY} days ago, at most ${EVENT_FUTURE_MS / MINUTE} minutes ahead`,
    ),
    subject: z.string().nullish().describe('Not read, as all extensions'),
    datacontenttype: z.string().nullish().describe('A JSON type, or left out'),
    data: z
      .strictObject({
        meter: z.enum(eventMeters),
        quantity: z
          .union([z.int().min(0), z.string().regex(/^\d{1,24}$/)])
          .describe('Whole, in the unit of the meter; as text where a double would be too coarse'),
        projectId: eventText.nullish(),
        jobId: eventText.nullish().describe('Its project counts where none is named'),
        leaseId: eventText.nullish().describe('Its project counts where none is named'),
        endpointId: eventText.nullish(),
        model: eventText.nullish(),
        resource: eventText.nullish().describe('What was used, for reports; `external` where left out'),
      })
      .meta({ id: 'UsageEventData' }),
  })
  .meta({ id: 'UsageEvent' });
const eventsSchema = z.array(usageEventSchema).max(EVENT_BATCH_MAX);

const receiptSchema = z
  .object({
    accepted: z.int(),
    unattributed: z.int().describe('Of those accepted: kept until you say whose they are'),
    duplicates: z.int(),
    rejected: z.int(),
    results: z
      .array(
        z.object({
          outcome: z.enum(['accepted', 'duplicate', 'rejected']),
          attributed: z.boolean().optional(),
          code: z.enum(['invalid', 'too-old', 'in-the-future', 'conflict']).optional(),
          field: z.string().optional().describe('Where in the request, such as `[3].data.quantity`'),
          reason: z.string().optional(),
        }),
      )
      .describe('One for each event, in the order of the request'),
  })
  .meta({ id: 'UsageReceipt' });

const sendUsageEvents = route({
  method: 'POST',
  path: '/v1/usage/events',
  tag,
  name: 'sendUsageEvents',
  summary: 'Tell of usage that was measured elsewhere',
  description: [
    `One CloudEvent (JSON format 1.0) or a batch of up to ${EVENT_BATCH_MAX}. Each counts once by its \`source\` and \`id\`, however often it is sent:`,
    'repeat a batch whose answer was lost. Each event of a batch is answered for itself, and the answer is 200 also where some are rejected;',
    'the same `id` with other contents is rejected with the code `conflict`. A single event that is rejected answers 400, and 409 for a conflict.',
    'Events are shown in usage reports and cost nothing: Berth charges for what Berth measures.',
  ].join(' '),
  access: { roles: ['admin'] },
  body: z.unknown(),
  bodies: {
    'application/json': z.union([usageEventSchema, eventsSchema]),
    [SINGLE]: usageEventSchema,
    [BATCH]: eventsSchema,
  },
  maxBodyBytes: MAX_BYTES,
  returns: receiptSchema,
});

const unattributedSchema = z
  .object({
    id: z.string(),
    source: z.string(),
    eventId: z.string(),
    at: isoTime,
    meter: z.string(),
    unit: z.string(),
    quantity: z.string(),
    projectId: z.string().nullable().describe('As the event named it; it may not exist'),
    jobId: z.string().nullable(),
    endpointId: z.string().nullable(),
    leaseId: z.string().nullable(),
    model: z.string().nullable(),
    resource: z.string(),
    reason: z.enum(unattributedReasons),
    receivedAt: isoTime,
  })
  .meta({ id: 'UnattributedUsage' });

const listUnattributedUsage = route({
  method: 'GET',
  path: '/v1/usage/unattributed',
  tag,
  name: 'listUnattributedUsage',
  summary: 'List usage events that belong to no project, oldest first',
  access: { roles: ['admin'] },
  returns: unattributedSchema,
  page: true,
});

const attributeUsage = route({
  method: 'POST',
  path: '/v1/usage/unattributed/attribute',
  tag,
  name: 'attributeUsage',
  summary: 'Say to which project usage events belong',
  description: 'All of them or, where one is not there, none. They become usage at the time at which they happened.',
  access: { roles: ['admin'] },
  body: z
    .strictObject({
      ids: z.array(idOf('usage')).min(1).max(EVENT_BATCH_MAX),
      projectId: idOf('project'),
      jobId: idOf('job').optional(),
    })
    .meta({ id: 'UsageAttribution' }),
  returns: z.object({ attributed: z.int() }).meta({ id: 'AttributedUsage' }),
});

@Controller()
export class UsageEventsController {
  private readonly counted: Counter<'outcome'>;

  constructor(
    private readonly events: UsageEvents,
    @Inject(GROUND) ground: Ground,
  ) {
    this.counted = new Counter({
      name: 'berth_usage_events_total',
      help: 'Usage events that tenants sent, by what became of them.',
      labelNames: ['outcome'],
      registers: [ground.metrics.registry],
    });
  }

  @Serve(sendUsageEvents)
  async send({ principal, body, request }: Call<typeof sendUsageEvents>) {
    const { batch, single } = batchOf(body, request.headers['content-type'] ?? '');
    const answers = await this.events.receive(tenantOf(principal), batch);
    const receipt = receiptOf(answers, single);
    this.counted.inc({ outcome: 'accepted' }, receipt.accepted - receipt.unattributed);
    this.counted.inc({ outcome: 'unattributed' }, receipt.unattributed);
    this.counted.inc({ outcome: 'duplicate' }, receipt.duplicates);
    this.counted.inc({ outcome: 'rejected' }, receipt.rejected);
    const [first] = answers;
    if (single && first?.outcome === 'rejected') throw refusalOf(first);
    return receipt;
  }

  @Serve(listUnattributedUsage)
  async list({ principal, page }: Call<typeof listUnattributedUsage>) {
    const rows = await this.events.unattributed(tenantOf(principal), page.order);
    return page.answer(rows, (r) => [r.id], show);
  }

  @Serve(attributeUsage)
  async attribute({ principal, body }: Call<typeof attributeUsage>) {
    const { ids, projectId, jobId } = body;
    const of = { ids, projectId, ...(jobId === undefined ? {} : { jobId }) };
    return { attributed: await this.events.attribute(tenantOf(principal), of) };
  }
}

/** An admin key is its whole organization's. */
function tenantOf({ organizationId }: Principal): Actor & { as: 'tenant' } {
  return { as: 'tenant', organizationId, projectIds: 'all' };
}

function batchOf(body: unknown, contentType: string): { batch: readonly unknown[]; single: boolean } {
  const type = contentType.split(';', 1)[0]?.trim().toLowerCase();
  const list = Array.isArray(body);
  if ((type === SINGLE && list) || (type === BATCH && !list))
    throw new DomainError('invalid', 'not-what-it-says', `A body of ${type} is ${list ? 'one event' : 'a list'}.`, {
      fix: `Send one event as ${SINGLE}, a list of them as ${BATCH}, either as application/json.`,
    });
  if (!list) return { batch: [body], single: true };
  if (body.length > EVENT_BATCH_MAX)
    throw new DomainError('too-large', 'too-many-events', `A batch has at most ${EVENT_BATCH_MAX} events.`, {
      fix: 'Send several batches.',
      facts: { most: EVENT_BATCH_MAX, given: body.length },
    });
  return { batch: body as readonly unknown[], single: false };
}

function receiptOf(answers: readonly EventAnswer[], single: boolean) {
  const receipt = { accepted: 0, unattributed: 0, duplicates: 0, rejected: 0 };
  const results = answers.map((answer, n) => {
    if (answer.outcome === 'duplicate') receipt.duplicates++;
    else if (answer.outcome === 'rejected') receipt.rejected++;
    else {
      receipt.accepted++;
      if (!answer.attributed) receipt.unattributed++;
    }
    if (answer.outcome !== 'rejected' || single) return answer;
    return { ...answer, field: `[${n}]${answer.field === '' ? '' : `.${answer.field}`}` };
  });
  return { ...receipt, results };
}

function refusalOf({ code, field, reason }: EventAnswer & { outcome: 'rejected' }): DomainError {
  const what = field === '' ? 'The event' : `"${field}"`;
  if (code === 'conflict')
    return new DomainError('conflict', 'event-conflict', `${what} ${reason}.`, {
      field,
      fix: 'Give what is new an id of its own; what was sent first counts.',
    });
  return new DomainError('invalid', code === 'invalid' ? 'invalid-event' : `event-${code}`, `${what} ${reason}.`, {
    ...(field === '' ? {} : { field }),
    problems: [{ field, message: reason }],
    fix: 'Correct the field; /docs describes each one.',
  });
}

function show(r: UnattributedRow) {
  const { organizationId: _, at, createdAt, quantity, ...rest } = r;
  return { ...rest, at: timeText(at), quantity: String(quantity), receivedAt: timeText(createdAt) };
}
