import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { idOf, isoTime } from '#contracts';
import { authorOf } from '#identity/audit';
import { orphanReasons, Orphans, type OrphanRow } from '#compute/orphans';
import type { Store } from '#platform/database';
import { route, type Call } from '../http/route.js';
import { Serve } from '../http/serve.js';
import { STORE } from '../tokens.js';
import { nameText, timeText } from './shapes.js';

const orphanSchema = z
  .object({
    providerId: z.string(),
    vendorId: z.string().describe('The vendor’s own id of the machine'),
    leaseId: z.string().nullable().describe('As the machine’s tag says; the database may not know it'),
    attemptId: z.string().nullable(),
    reason: z
      .enum(orphanReasons)
      .describe('`unknown-attempt` and `newer-than-records` show that the database is older than the vendor'),
    createdAt: isoTime.nullable().describe('By the vendor'),
    firstSeenAt: isoTime,
    seenAt: isoTime,
    confirmedAt: isoTime.nullable().describe('From then on it may be terminated'),
    confirmedBy: z.string().nullable(),
  })
  .meta({ id: 'Orphan' });

const standingSchema = z
  .object({
    pause: z
      .object({
        since: isoTime,
        reason: z.string(),
        byKeyId: z.string().nullable().describe('Null: the sweep itself'),
      })
      .nullable()
      .describe('While it is set, orphans are reported and not terminated'),
    machines: z.array(orphanSchema),
  })
  .meta({ id: 'OrphanStanding' });

const tag = 'Administration';
const access = { roles: ['platform-admin'] } as const;

const listOrphans = route({
  method: 'GET',
  path: '/v1/admin/orphans',
  tag,
  name: 'listOrphans',
  summary: 'List machines that nobody wants and that wait for you',
  access,
  returns: standingSchema,
});

const confirmOrphans = route({
  method: 'POST',
  path: '/v1/admin/orphans/confirm',
  tag,
  name: 'confirmOrphans',
  summary: 'Let the next sweep terminate these machines',
  description: 'Answers those that it now may; what is not reported, or was confirmed before, is left out.',
  access,
  body: z
    .strictObject({
      machines: z
        .array(z.strictObject({ providerId: idOf('provider'), vendorId: z.string().min(1).max(300) }))
        .min(1)
        .max(1_000),
    })
    .meta({ id: 'ConfirmedOrphans' }),
  returns: z.object({ machines: z.array(orphanSchema) }).meta({ id: 'OrphansToEnd' }),
});

const pauseOrphanSweep = route({
  method: 'PUT',
  path: '/v1/admin/orphans/pause',
  tag,
  name: 'pauseOrphanSweep',
  summary: 'Report orphans and terminate none until they are confirmed',
  access,
  body: z.strictObject({ reason: nameText }).meta({ id: 'NewSweepPause' }),
  returns: standingSchema,
});

const resumeOrphanSweep = route({
  method: 'DELETE',
  path: '/v1/admin/orphans/pause',
  tag,
  name: 'resumeOrphanSweep',
  summary: 'Terminate orphans again',
  description:
    'A machine that shows that the database is older than its vendor pauses the sweep anew until it is confirmed.',
  access,
  returns: standingSchema,
});

@Controller()
export class OrphansController {
  private readonly orphans: Orphans;

  constructor(@Inject(STORE) store: Store) {
    this.orphans = new Orphans(store);
  }

  @Serve(listOrphans)
  list() {
    return this.standing();
  }

  @Serve(confirmOrphans)
  async confirm(call: Call<typeof confirmOrphans>) {
    const confirmed = await this.orphans.confirm(authorOf(call), call.body.machines);
    return { machines: confirmed.map(show) };
  }

  @Serve(pauseOrphanSweep)
  async pause(call: Call<typeof pauseOrphanSweep>) {
    await this.orphans.pause(authorOf(call), call.body.reason);
    return this.standing();
  }

  @Serve(resumeOrphanSweep)
  async resume(call: Call<typeof resumeOrphanSweep>) {
    await this.orphans.resume(authorOf(call));
    return this.standing();
  }

  private async standing() {
    const { pause, orphans } = await this.orphans.standing();
    return {
      pause: pause && { since: timeText(pause.since), reason: pause.reason, byKeyId: pause.byKeyId },
      machines: orphans.map(show),
    };
  }
}

function show(row: OrphanRow) {
  return {
    ...row,
    createdAt: timeText(row.createdAt),
    firstSeenAt: timeText(row.firstSeenAt),
    seenAt: timeText(row.seenAt),
    confirmedAt: timeText(row.confirmedAt),
  };
}
