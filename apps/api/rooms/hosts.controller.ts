import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { NANO_PER_USD, notFound } from '#kernel';
import { idOf, isoTime, nanoUsdText } from '#contracts';
import { WORKER, type Store } from '#platform/database';
import { agents, type AgentRow } from '#compute/agents';
import { Hosts, hosts, MOST_TIME_SLICES, slots, startedGpus, type HostRow, type SlotRow } from '#compute/hosts';
import { Providers } from '#compute/providers';
import { route, type Call } from '../http/route.js';
import { Serve } from '../http/serve.js';
import { GROUND } from '../services.js';
import type { Ground } from '../ground.js';
import { STORE } from '../tokens.js';
import { nameText, timeText } from './shapes.js';

/** As for offers of vendors: nothing costs as much, and what costs more is in no amount that can be shown. */
const MOST_PER_SLOT_HOUR = 100_000n * NANO_PER_USD;

const hostSchema = z
  .object({
    id: idOf('host'),
    name: z.string(),
    state: z.enum(['enrolling', 'ready', 'cordoned', 'lost']),
    region: z.string(),
    country: z.string().nullable(),
    slots: z.int(),
    slotsTaken: z.int().meta({ description: 'A GPU of which somebody has a part counts as taken' }),
    pricePerSlotHour: nanoUsdText,
    timeSlices: z
      .int()
      .meta({ description: 'Slices that each GPU without MIG is offered in too; 1 = whole ones only' }),
    lastSeenAt: isoTime.nullable(),
    hardware: z.string().nullable(),
    createdAt: isoTime,
  })
  .meta({ id: 'Host' });

const tag = 'Hosts';
const roles = ['provider-operator', 'platform-admin'] as const;
const params = z.strictObject({ id: idOf('host') });

const addHost = route({
  method: 'POST',
  path: '/v1/hosts',
  tag,
  name: 'addHost',
  summary: 'Register a machine',
  description:
    'Answers a one-time token, shown once; start the agent on the machine with `command`. A host offers its slots as soon as its agent has enrolled.',
  access: { roles },
  body: z
    .strictObject({
      name: nameText,
      slots: z.int().min(1).max(64).default(1),
      pricePerSlotHour: nanoUsdText
        .refine((t) => BigInt(t) >= 0n, 'must not be negative')
        .refine((t) => BigInt(t) <= MOST_PER_SLOT_HOUR, 'must not be above $100,000'),
      timeSlices: z.int().min(1).max(MOST_TIME_SLICES).default(1).meta({
        description:
          'Offer each GPU in that many time slices too, at that share of the price, to work that asks for no isolation: nothing keeps memory or faults apart. MIG instances need no setting: those that the agent finds are offered.',
      }),
      region: nameText.default('local'),
      country: z
        .string()
        .regex(/^[A-Z]{2}$/, 'must be an ISO 3166 code such as FI')
        .optional(),
    })
    .meta({ id: 'NewHost' }),
  returns: z.object({ host: hostSchema, enrolToken: z.string(), command: z.string() }).meta({ id: 'AddedHost' }),
  creates: true,
});

const listHosts = route({
  method: 'GET',
  path: '/v1/hosts',
  tag,
  name: 'listHosts',
  summary: 'List registered machines',
  access: { roles },
  returns: hostSchema,
  page: true,
});

const getHost = route({
  method: 'GET',
  path: '/v1/hosts/{id}',
  tag,
  name: 'getHost',
  summary: 'Show a registered machine',
  access: { roles },
  params,
  returns: hostSchema,
});

const inviteHost = route({
  method: 'POST',
  path: '/v1/hosts/{id}/invite',
  tag,
  name: 'inviteHost',
  summary: 'Get a new token for a machine whose agent lost its credential',
  access: { roles },
  params,
  returns: z.object({ enrolToken: z.string(), command: z.string() }).meta({ id: 'HostInvitation' }),
});

const removeHost = route({
  method: 'DELETE',
  path: '/v1/hosts/{id}',
  tag,
  name: 'removeHost',
  summary: 'Take a machine out',
  access: { roles },
  params,
  returns: hostSchema,
});

@Controller()
export class HostsController {
  constructor(
    private readonly hosts: Hosts,
    private readonly providers: Providers,
    @Inject(STORE) private readonly store: Store,
    @Inject(GROUND) private readonly ground: Ground,
  ) {}

  @Serve(addHost)
  async add({ principal, body, remember }: Call<typeof addHost>) {
    const { organizationId } = principal;
    const provider = await this.store.transaction(WORKER, (tx) =>
      this.providers.ensure(tx, {
        organizationId,
        name: 'hosts',
        kind: 'bare-metal',
        adapter: 'host',
        marginBps: this.ground.config.defaultMarginBps,
      }),
    );
    const answer = (host: HostRow, token: string) => ({
      host: shown(host, [], null),
      enrolToken: token,
      command: this.command(token),
    });
    const { host, token } = await this.hosts.add(
      {
        organizationId,
        providerId: provider.id,
        name: body.name,
        slotCount: body.slots,
        pricePerSlotHour: BigInt(body.pricePerSlotHour),
        timeSlices: body.timeSlices,
        region: body.region,
        country: body.country ?? null,
      },
      (tx, added) => remember(tx, answer(added.host, added.token)),
    );
    return answer(host, token);
  }

  @Serve(listHosts)
  async list({ principal, page }: Call<typeof listHosts>) {
    const rows = await this.store.transaction(principal.actor, (tx) =>
      tx.find(hosts, this.own(principal), { orderBy: [['id', 'asc']], ...page.order }),
    );
    const shown = new Map(await Promise.all(rows.map(async (row) => [row.id, await this.show(row)] as const)));
    return page.answer(
      rows,
      (row) => [row.id],
      (row) => shown.get(row.id) ?? never(),
    );
  }

  @Serve(getHost)
  async get({ principal, params }: Call<typeof getHost>) {
    return this.show(await this.find(principal, params.id));
  }

  @Serve(inviteHost)
  async invite({ principal, params }: Call<typeof inviteHost>) {
    const host = await this.find(principal, params.id);
    const token = await this.store.transaction(WORKER, (tx) => this.hosts.reinvite(tx, host));
    return { enrolToken: token, command: this.command(token) };
  }

  @Serve(removeHost)
  async remove({ principal, params }: Call<typeof removeHost>) {
    const host = await this.find(principal, params.id);
    return this.show(await this.store.transaction(WORKER, (tx) => this.hosts.remove(tx, host.organizationId, host.id)));
  }

  private own(principal: Call<typeof listHosts>['principal']): { organizationId?: string } {
    return principal.role === 'platform-admin' ? {} : { organizationId: principal.organizationId };
  }

  private async find(principal: Call<typeof listHosts>['principal'], id: string): Promise<HostRow> {
    const row = await this.store.transaction(principal.actor, (tx) => tx.first(hosts, { id, ...this.own(principal) }));
    if (!row) throw notFound('host', id);
    return row;
  }

  private command(token: string): string {
    return `node dist/apps/agent/main.js --broker ${this.ground.config.publicUrl ?? 'http://<this broker>'} --token ${token} --state-dir .berth/agent`;
  }

  private async show(row: HostRow): Promise<z.infer<typeof hostSchema>> {
    const { taken, agent } = await this.store.transaction(WORKER, async (tx) => ({
      taken: await tx.find(slots, { hostId: row.id }),
      agent: row.agentId === null ? null : await tx.first(agents, { id: row.agentId }),
    }));
    return shown(row, taken, agent);
  }
}

function shown(row: HostRow, taken: readonly SlotRow[], agent: AgentRow | null): z.infer<typeof hostSchema> {
  const facts = agent?.facts ?? null;
  const gpu = facts?.gpus[0];
  return {
    id: row.id as z.infer<typeof hostSchema>['id'],
    name: row.name,
    state: row.state,
    region: row.region,
    country: row.country,
    slots: row.slotCount,
    slotsTaken: startedGpus(taken).size + taken.filter((slot) => slot.gpuIndex === null).length,
    pricePerSlotHour: String(row.pricePerSlotHour),
    timeSlices: row.timeSlices,
    lastSeenAt: timeText(agent?.lastSeenAt ?? null),
    hardware: facts === null ? null : gpu ? `${facts.gpus.length} x ${gpu.name}` : `${facts.vcpus} x ${facts.cpuModel}`,
    createdAt: timeText(row.createdAt),
  };
}

function never(): never {
  throw new Error('a row of the page was not shown');
}
