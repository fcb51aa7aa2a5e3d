import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { faultRuleSchema, type CloudMachine, type SandboxCloud } from '#adapters/sandbox-cloud';
import type { MachineRoom } from './agents.js';
import { readBody, Refused, sendJson } from './http.js';
import type { ScaledClock } from './scaled-clock.js';

const faultsBody = z.strictObject({ faults: z.array(faultRuleSchema).max(1_000) });
const timeBody = z.strictObject({
  timeScale: z.number().min(0).max(100_000).optional(),
  advanceMs: z
    .number()
    .min(0)
    .max(366 * 86_400_000)
    .optional(),
});
/** `noticeMs` is for `preempt` only. */
const actBody = z.strictObject({ noticeMs: z.int().nonnegative().default(0) });

export interface Controlled {
  readonly cloud: SandboxCloud;
  readonly clock: ScaledClock;
  readonly room: MachineRoom;
}

/** The hand of the one who runs the fake cloud: `/control/{state,faults,time,machines,log,bill}`. */
export async function controlApi(
  { cloud, clock, room }: Controlled,
  request: IncomingMessage,
  response: ServerResponse,
  path: readonly string[],
  query: URLSearchParams,
): Promise<void> {
  const [what = '', id = '', action = ''] = path;
  if (request.method === 'POST' && what === 'machines' && path.length === 3) {
    const { noticeMs } = await readBody(request, actBody);
    return sendJson(response, 200, act(cloud, room, id, action, noticeMs));
  }
  switch (path.length === 1 ? `${request.method} ${what}` : '') {
    case 'GET state':
      return sendJson(response, 200, { nowMs: clock.now(), timeScale: clock.scale, faults: cloud.faults });
    case 'PUT faults': {
      const { faults } = await readBody(request, faultsBody);
      cloud.setFaults(faults);
      return sendJson(response, 200, { faults });
    }
    case 'POST time': {
      const { timeScale, advanceMs } = await readBody(request, timeBody);
      if (timeScale !== undefined) clock.setScale(timeScale);
      if (advanceMs !== undefined) clock.advance(advanceMs);
      room.settle();
      return sendJson(response, 200, { nowMs: clock.now(), timeScale: clock.scale });
    }
    case 'GET machines':
      return sendJson(response, 200, { machines: cloud.machines().map((m) => inside(m, room)) });
    case 'GET log': {
      const from = Number(query.get('from') ?? 0);
      if (!Number.isInteger(from) || from < 0) throw new Refused('invalid_request', 'from: must be a whole number');
      return sendJson(response, 200, { entries: cloud.log.slice(from, from + 10_000) });
    }
    case 'GET bill':
      return sendJson(response, 200, { lines: cloud.bill });
    default:
      throw new Refused('not_found', `There is no ${request.method} /control/${path.join('/')}.`);
  }
}

/** `kill`: the machine dies and the vendor does not notice. `fail`: it notices. `preempt`: it takes the machine. */
function act(cloud: SandboxCloud, room: MachineRoom, id: string, action: string, noticeMs: number): unknown {
  const machine = cloud.machine(id);
  if (!machine) throw new Refused('not_found', `There is no machine ${id}.`);
  const acts: Record<string, () => boolean> = {
    kill: () => cloud.silence(id),
    fail: () => cloud.fail(id),
    preempt: () => cloud.preempt(id, noticeMs),
  };
  const chosen = Object.hasOwn(acts, action) ? acts[action] : undefined;
  if (!chosen) throw new Refused('not_found', `A machine can be killed, failed or preempted; not "${action}".`);
  if (!chosen()) throw new Refused('conflict', `${id} is ${machine.state}, not running.`);
  room.settle();
  return inside(machine, room);
}

/** A machine as it really is; never its enrolment token. */
function inside(machine: CloudMachine, room: MachineRoom): unknown {
  const { id, request, sku, state, createdAtMs, billedFromMs, endedAtMs, interrupt, agentDead } = machine;
  return {
    id,
    name: request.name,
    tags: request.tags,
    sku: sku.name,
    region: sku.region,
    state,
    createdAtMs,
    billedFromMs,
    endedAtMs,
    interruptAtMs: interrupt?.atMs ?? null,
    agentDead,
    agentPid: room.running.get(id)?.pid ?? null,
  };
}
