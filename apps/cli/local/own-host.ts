import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { addHost, answerOf, inviteHost, listHosts, type Client } from '#client';
import { readState, writeState } from './state.js';

export const HOST_NAME = 'this-machine';
/** What this machine asks per slot and hour: $0.40. */
const HOST_PRICE = '400000000';

export interface KnownHost {
  readonly id: string;
  readonly name: string;
  readonly state: 'enrolling' | 'ready' | 'cordoned' | 'lost';
}

/**
 * Which registered host this machine is: the one it was last, else one of its name; never one that was taken out. Without
 * any, a name that is not in use.
 */
export function chooseHost<H extends KnownHost>(
  hosts: readonly H[],
  lastId: string | undefined,
): { readonly host: H } | { readonly newName: string } {
  const usable = hosts.filter((h) => h.state !== 'cordoned' && (h.id === lastId || isOwnName(h.name)));
  const host = usable.find((h) => h.id === lastId) ?? usable[0];
  if (host) return { host };
  const names = new Set(hosts.map((h) => h.name));
  let newName = HOST_NAME;
  for (let n = 2; names.has(newName); n++) newName = `${HOST_NAME}-${n}`;
  return { newName };
}

const isOwnName = (name: string): boolean => name === HOST_NAME || /^this-machine-\d+$/.test(name);

/**
 * The agent's command line. Registers this machine on the first call; an agent without a credential, or whose credential is
 * dead (`lost`), gets a new one-time token, in a file so that no list of processes shows it.
 */
export async function agentArguments(client: Client, home: string, url: string, lost: boolean): Promise<string[]> {
  const stateDir = join(home, 'agent');
  const choice = chooseHost(await allHosts(client), readState(home).hostId);
  let token: string | undefined;
  if ('newName' in choice) {
    // A credential of a host that was taken out is dead; the agent would hold on to it.
    rmSync(stateDir, { recursive: true, force: true });
    const body = { name: choice.newName, slots: 1, pricePerSlotHour: HOST_PRICE, region: 'local' };
    const { host, enrolToken } = await answerOf(addHost({ client, body }));
    writeState(home, { hostId: host.id });
    token = enrolToken;
  } else {
    const { host } = choice;
    writeState(home, { hostId: host.id });
    const credential = join(stateDir, 'credential.json');
    if (lost) rmSync(credential, { force: true });
    if (lost || host.state === 'enrolling' || !existsSync(credential)) {
      rmSync(credential, { force: true });
      token = (await answerOf(inviteHost({ client, path: { id: host.id as `host_${string}` } }))).enrolToken;
    }
  }
  const args = ['--broker', url, '--state-dir', stateDir];
  if (token === undefined) return args;
  const tokenFile = join(home, 'agent.token');
  writeFileSync(tokenFile, token, { mode: 0o600 });
  return [...args, '--token-file', tokenFile];
}

/** True when the broker has heard from this machine and offers it. */
export async function ownHostReady(client: Client, home: string): Promise<boolean> {
  const { hostId } = readState(home);
  return (await allHosts(client)).some((h) => h.id === hostId && h.state === 'ready');
}

async function allHosts(client: Client): Promise<KnownHost[]> {
  const hosts: KnownHost[] = [];
  let cursor: string | undefined;
  do {
    const page = await answerOf(
      listHosts({ client, query: { limit: 200, ...(cursor === undefined ? {} : { cursor }) } }),
    );
    hosts.push(...page.items);
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  return hosts;
}
