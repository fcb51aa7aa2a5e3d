import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock, type Clock } from '#kernel';
import { defaultSkus, SandboxCloud, type Sku } from '#adapters/sandbox-cloud';
import { MachineRoom, processStarter, type StartAgent } from './agents.js';
import { controlApi } from './control-api.js';
import { hasKey, Refused, sendRefused } from './http.js';
import {
  machineEnvironment,
  sandboxOptionsSchema,
  type ResolvedSandboxOptions,
  type SandboxOptions,
} from './options.js';
import { ScaledClock } from './scaled-clock.js';
import { vendorApi } from './vendor-api.js';

/** What a caller in the same process may put in place of the real thing. */
export interface SandboxParts {
  readonly clock?: Clock;
  readonly startAgent?: StartAgent;
}

export interface RunningSandbox {
  /** "http://127.0.0.1:4100" */
  readonly url: string;
  readonly key: string;
  readonly cloud: SandboxCloud;
  readonly clock: ScaledClock;
  readonly room: MachineRoom;
  /** For exit handlers: kills the agents without waiting. */
  killAgents(): void;
  close(): Promise<void>;
}

/** While the vendor's time runs, look at least this often for agents to start or stop. */
const longestNapMs = 250;

/** Starts the fake cloud behind HTTP. Every agent process is gone when `close` has resolved. */
export async function startSandbox(given: SandboxOptions = {}, parts: SandboxParts = {}): Promise<RunningSandbox> {
  const options = sandboxOptionsSchema.parse(given);
  const clock = new ScaledClock(parts.clock ?? systemClock, options.timeScale);
  const cloud = openCloud(options, clock);
  const ownDisk = options.stateDir === undefined && options.agents === 'process';
  const diskRoot = options.stateDir ?? (ownDisk ? mkdtempSync(join(tmpdir(), 'berth-sandbox-')) : '');
  const none: StartAgent = () => null;
  const starter =
    options.agents === 'process' ? processStarter(options.agentCommand, diskRoot, machineEnvironment()) : none;
  const room = new MachineRoom(cloud, parts.startAgent ?? starter);

  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  const look = (): void => {
    if (closed) return;
    clearTimeout(timer);
    room.settle();
    const next = cloud.nextChangeAtMs();
    const ms = next === null ? null : clock.realMsUntil(next);
    timer = setTimeout(look, Math.min(ms ?? longestNapMs, longestNapMs));
    timer.unref();
  };

  const server = createServer((request, response) => {
    handle(options.key, { cloud, clock, room }, request, response)
      .catch((error: unknown) => {
        if (response.headersSent || response.destroyed) return;
        const known = error instanceof Refused ? error : new Refused('internal', 'The sandbox itself broke.');
        if (known !== error) process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
        sendRefused(response, known);
      })
      .finally(look);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  look();

  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the sandbox has no port');
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return {
    url: `http://${host}:${address.port}`,
    key: options.key,
    cloud,
    clock,
    room,
    killAgents: () => room.killAll(),
    close: async () => {
      if (closed) return;
      closed = true;
      clearTimeout(timer);
      const down = new Promise<void>((resolve) => server.close(() => resolve()));
      // Answers that were "lost" are still open.
      server.closeAllConnections();
      await Promise.all([down, room.close()]);
      if (ownDisk) rmSync(diskRoot, { recursive: true, force: true });
    },
  };
}

function openCloud(options: ResolvedSandboxOptions, clock: Clock): SandboxCloud {
  const { seed, kind, clientTokens, windowMs, stopMs, pageSize, faults, bootMs, stock, preemptionsPerHour } = options;
  const skus = defaultSkus.map((sku): Sku => ({
    ...sku,
    bootMs: bootMs === undefined ? sku.bootMs : [bootMs, bootMs],
    stock: stock === undefined ? sku.stock : stock,
    preemptionsPerHour: sku.pricing === 'spot' ? (preemptionsPerHour ?? sku.preemptionsPerHour) : 0,
  }));
  return new SandboxCloud({ clock, seed, skus, faults, settings: { kind, clientTokens, windowMs, stopMs, pageSize } });
}

async function handle(
  key: string,
  controlled: { cloud: SandboxCloud; clock: ScaledClock; room: MachineRoom },
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = readUrl(request.url ?? '/');
  const [area, ...path] = decoded(url.pathname);
  if (area !== 'v1' && area !== 'control') throw new Refused('not_found', 'There is nothing here.');
  if (!hasKey(request, key)) throw new Refused('unauthorized', 'The key is missing or not valid.');
  if (area === 'v1') await vendorApi(controlled.cloud, request, response, path, url.searchParams);
  else await controlApi(controlled, request, response, path, url.searchParams);
}

function readUrl(target: string): URL {
  try {
    return new URL(target, 'http://sandbox');
  } catch {
    throw new Refused('invalid_request', 'The path is not understood.');
  }
}

/** Path segments, decoded one by one so that an encoded slash stays inside its segment. */
function decoded(pathname: string): string[] {
  try {
    return pathname.split('/').slice(1).map(decodeURIComponent);
  } catch {
    throw new Refused('invalid_request', 'The path is not well encoded.');
  }
}
