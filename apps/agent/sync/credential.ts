import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { HostFacts } from '#contracts';
import type { Random } from '#kernel';
import { writeFileDurably } from '../durable-file.js';
import { backoffMs, type Pause } from './backoff.js';
import { BrokerError, enrol, type Fetch } from './broker-client.js';

const credentialSchema = z.object({
  brokerUrl: z.string(),
  agentId: z.string(),
  credential: z.string(),
  pollMs: z.int(),
});
export type StoredCredential = z.infer<typeof credentialSchema>;

/** Why there is no credential; the message says what the operator has to do. */
export class EnrolmentFailed extends Error {
  constructor(
    readonly code: 'no-token' | 'token-refused' | 'answer-lost' | 'stopped',
    message: string,
  ) {
    super(message);
    this.name = 'EnrolmentFailed';
  }
}

export interface EnrolmentPorts {
  readonly stateDir: string;
  readonly brokerUrl: string;
  readonly token: string | undefined;
  readonly facts: () => Promise<HostFacts>;
  readonly random: Random;
  readonly pause: Pause;
  readonly fetch?: Fetch;
  readonly signal: AbortSignal;
  readonly onRetry: (error: BrokerError, pauseMs: number) => void;
}

/**
 * The stored credential, or a new one for the one-time token. That a token was sent is written down first: when the answer is
 * lost and the broker then refuses the token, the reason can be told from a wrong token.
 */
export async function obtainCredential(ports: EnrolmentPorts): Promise<StoredCredential> {
  const stored = await readCredential(ports.stateDir);
  if (stored) return stored;
  const { token } = ports;
  if (token === undefined) {
    throw new EnrolmentFailed(
      'no-token',
      `There is no credential in ${ports.stateDir}: start once with --token or --token-file.`,
    );
  }
  const sentFile = join(ports.stateDir, 'enrolment-sent');
  const digest = createHash('sha256').update(token).digest('hex');
  let sentBefore = (await readFile(sentFile, 'utf8').catch(() => '')) === digest;
  if (!sentBefore) await writeFileDurably(sentFile, digest);
  const facts = await ports.facts();
  for (let failures = 1; !ports.signal.aborted; failures++) {
    try {
      const answer = await enrol(ports.brokerUrl, { token, facts }, ports.signal, ports.fetch);
      const credential: StoredCredential = { brokerUrl: ports.brokerUrl, ...answer };
      await writeFileDurably(credentialFile(ports.stateDir), `${JSON.stringify(credential, null, 2)}\n`);
      return credential;
    } catch (error) {
      if (ports.signal.aborted) break;
      if (!(error instanceof BrokerError)) throw error;
      if (error.kind !== 'unreachable') {
        if (!sentBefore) throw new EnrolmentFailed('token-refused', `The broker refuses this token. ${error.message}`);
        throw new EnrolmentFailed(
          'answer-lost',
          `The broker refuses this token, and this machine has sent it before without getting an answer: the enrolment was ` +
            `probably accepted and its answer lost. Issue a new token. ${error.message}`,
        );
      }
      sentBefore ||= !error.neverSent;
      const pauseMs = error.retryAfterMs ?? backoffMs(failures, ports.random);
      ports.onRetry(error, pauseMs);
      await ports.pause(pauseMs, ports.signal);
    }
  }
  throw new EnrolmentFailed('stopped', 'The agent was stopped before it was enrolled.');
}

async function readCredential(stateDir: string): Promise<StoredCredential | undefined> {
  let text: string;
  try {
    text = await readFile(credentialFile(stateDir), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  return credentialSchema.parse(JSON.parse(text));
}

function credentialFile(stateDir: string): string {
  return join(stateDir, 'credential.json');
}
