import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { StripeStandIn } from './stand-in.js';

const CLI = '@stripe/cli@1.52.0';
const FETCH_WITHIN_MS = 90_000;
const RUN_WITHIN_MS = 40_000;

interface Ran {
  readonly code: number;
  readonly text: string;
}

/** Runs a program with a folder of its own for its settings. */
function run(file: string, args: readonly string[], timeout: number): Promise<Ran> {
  const env = { ...process.env, XDG_CONFIG_HOME: home, STRIPE_CLI_TELEMETRY_OPTOUT: '1', NO_COLOR: '1' };
  return new Promise((resolve) => {
    execFile(file, args, { env, timeout, killSignal: 'SIGKILL' }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code ?? 1) || 1 : 0, text: `${stdout}${error ? stderr : ''}` }),
    );
  });
}

const home = mkdtempSync(join(tmpdir(), 'berth-stripe-cli-'));
// Fetched on the first use, then out of npm's cache. Where the program lies is asked once: npx itself takes seconds each time.
const found = await run('npx', ['--yes', '-p', CLI, '-c', 'command -v stripe && stripe --version'], FETCH_WITHIN_MS);
const program = found.text.split('\n')[0]?.trim() ?? '';
const why = found.code === 0 && program !== '' ? null : `${CLI} cannot be had here (exit ${found.code})`;
if (why !== null) console.warn(`SKIPPED: ${why}`);

/** What Stripe's own people think these events take, by their calls, and what must be there afterwards. */
const TRIGGERS = [
  ['customer.created', ['customer.created']],
  ['customer.updated', ['customer.updated']],
  ['payment_method.attached', ['payment_method.attached']],
  ['setup_intent.succeeded', ['setup_intent.created', 'setup_intent.succeeded']],
  ['payment_intent.succeeded', ['payment_intent.created', 'charge.succeeded', 'payment_intent.succeeded']],
  ['payment_intent.payment_failed', ['charge.failed', 'payment_intent.payment_failed']],
  ['charge.refunded', ['charge.succeeded', 'charge.refunded', 'refund.created']],
  ['invoice.paid', ['invoice.created', 'invoice.finalized', 'invoice.paid']],
  ['invoice.payment_failed', ['invoice.finalized', 'invoice.payment_failed']],
  ['invoice.voided', ['invoice.voided']],
  ['account.updated', ['account.updated']],
  ['transfer.created', ['transfer.created']],
  ['transfer.reversed', ['transfer.created', 'transfer.reversed']],
] as const;

describe('Stripe’s own command line takes the stand-in for Stripe', () => {
  let standIn: StripeStandIn;
  beforeAll(async () => {
    standIn = await StripeStandIn.start();
    // The tool makes a transfer right after the payment for it.
    standIn.world.availableAtOnce = true;
  });
  afterAll(async () => {
    await standIn.close();
    rmSync(home, { recursive: true, force: true });
    expect(standIn.mistakes).toEqual([]);
  });

  if (why !== null) it.skip(why, () => undefined);
  else {
    it.each(TRIGGERS)(
      '%s',
      async (event, expected) => {
        const from = standIn.webhooks.waiting.length;
        const key = ['--api-key', 'sk_test_51standInStandInStandIn'];
        const { code, text } = await run(program, ['trigger', event, '--api-base', standIn.url, ...key], RUN_WITHIN_MS);
        expect([code, text]).toEqual([0, expect.stringContaining('Trigger succeeded')]);
        expect(standIn.webhooks.waiting.slice(from)).toEqual(expect.arrayContaining([...expected]));
      },
      RUN_WITHIN_MS + 5_000,
    );
  }
});
