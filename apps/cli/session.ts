import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Client } from '#client';
import { Ended, EXIT } from './exit.js';

/** Where a broker is and the key for it. */
export interface Login {
  readonly url: string;
  readonly key: string;
}

type Logins = Record<string, Login>;

export function loginsFile(env: NodeJS.ProcessEnv = process.env): string {
  return join(
    env['BERTH_CLI_CONFIG'] ?? join(env['XDG_CONFIG_HOME'] ?? join(homedir(), '.config'), 'berth'),
    'logins.json',
  );
}

function readLogins(env: NodeJS.ProcessEnv = process.env): Logins {
  let text: string;
  try {
    text = readFileSync(loginsFile(env), 'utf8');
  } catch {
    return {};
  }
  try {
    return JSON.parse(text) as Logins;
  } catch {
    throw new Ended(EXIT.usage, `${loginsFile(env)} is not readable as JSON.\n  Remove it and log in again.`);
  }
}

/** Keys are readable by their owner only; the file is replaced whole. */
function writeLogins(logins: Logins): void {
  const file = loginsFile();
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(logins, null, 2)}\n`, { mode: 0o600 });
  chmodSync(draft, 0o600);
  renameSync(draft, file);
}

export function saveLogin(profile: string, login: Login): void {
  writeLogins({ ...readLogins(), [profile]: login });
}

export function forgetLogin(profile: string): boolean {
  const { [profile]: gone, ...rest } = readLogins();
  if (Object.keys(rest).length === 0) rmSync(loginsFile(), { force: true });
  else writeLogins(rest);
  return gone !== undefined;
}

/**
 * BERTH_CLI_URL and BERTH_CLI_KEY win over what was saved. Without either, the broker that `berth up` started on this machine
 * is meant: its tenant, or with the profile "admin" its platform administrator. A saved key goes to the broker that it
 * was saved for and to no other.
 */
export async function loginOf(profile: string, env: NodeJS.ProcessEnv = process.env): Promise<Login> {
  const fromEnv = { url: env['BERTH_CLI_URL'] || undefined, key: env['BERTH_CLI_KEY'] || undefined };
  const saved =
    fromEnv.url !== undefined && fromEnv.key !== undefined
      ? undefined
      : (readLogins(env)[profile] ?? (await localLogin(profile, env)));
  const url = fromEnv.url ?? saved?.url;
  const key = fromEnv.key ?? (url !== undefined && sameBroker(url, saved?.url) ? saved?.key : undefined);
  if (fromEnv.url !== undefined && key === undefined)
    throw new Ended(
      EXIT.notAllowed,
      `there is no key for ${fromEnv.url}, which BERTH_CLI_URL names.\n  Set BERTH_CLI_KEY as well, or unset BERTH_CLI_URL.`,
    );
  if (url === undefined || key === undefined) {
    throw new Ended(
      EXIT.notAllowed,
      'you are not logged in.\n  Start a broker here with `berth up`, log in to another with `berth login --url URL --key-stdin`, or set BERTH_CLI_URL and BERTH_CLI_KEY.',
    );
  }
  if (!isAddress(url)) throw new Ended(EXIT.usage, `"${url}" is not an address such as http://127.0.0.1:7070`);
  if (!isKey(key))
    throw new Ended(EXIT.usage, 'the key is not one word.\n  Set BERTH_CLI_KEY without spaces and line breaks.');
  return { url: trimmed(url), key };
}

export function isAddress(text: string): boolean {
  return /^https?:\/\//.test(text) && URL.canParse(text);
}

/** What a header can carry. */
export function isKey(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}

const trimmed = (url: string): string => url.replace(/\/+$/, '');

function sameBroker(a: string, b: string | undefined): boolean {
  return b !== undefined && trimmed(a) === trimmed(b);
}

async function localLogin(profile: string, env: NodeJS.ProcessEnv): Promise<Login | undefined> {
  const { homeOf, readState } = await import('./local/state.js');
  const { url, platformKey, demo } = readState(homeOf(env));
  const key = profile === 'admin' ? platformKey : profile === 'default' ? demo?.key : undefined;
  return url === undefined || key === undefined ? undefined : { url, key };
}

export interface Session {
  readonly login: Login;
  readonly client: Client;
}

/** Loaded only when a command talks to a broker. */
export async function openSession(profile: string): Promise<Session> {
  const login = await loginOf(profile);
  const { brokerClient } = await import('#client');
  return { login, client: brokerClient(login) };
}

/** A request outside the generated client, for streams: the answer is checked, a problem is thrown. */
export async function rawRequest(
  login: Login,
  method: string,
  path: string,
  init: { headers?: Record<string, string>; body?: ReadableStream<Uint8Array> | string; signal?: AbortSignal } = {},
): Promise<Response> {
  const { BrokerRefused, BrokerUnreachable } = await import('#client');
  let response: Response;
  try {
    response = await fetch(`${login.url}${path}`, {
      method,
      ...init,
      headers: { authorization: `Bearer ${login.key}`, ...init.headers },
    });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new BrokerUnreachable(login.url, error);
  }
  if (response.ok) return response;
  const problem = (await response.json().catch(() => null)) as ConstructorParameters<typeof BrokerRefused>[1] | null;
  if (problem === null || typeof problem.detail !== 'string')
    throw new BrokerUnreachable(login.url, new Error(`HTTP ${response.status}`));
  throw new BrokerRefused(response.status, problem);
}
