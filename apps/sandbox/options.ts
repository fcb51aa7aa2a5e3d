import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { providerKinds } from '#contracts';
import { faultRuleSchema } from '#adapters/sandbox-cloud';

/** The agent that was built together with this program. */
const builtAgent = fileURLToPath(new URL('../agent/main.js', import.meta.url));

const whole = z.coerce.number<number | string>().int().nonnegative();

/** What a sandbox can be told; the flags of the program are the same words with dashes. */
export const sandboxOptionsSchema = z.strictObject({
  host: z.string().default('127.0.0.1'),
  /** 0 = any free one. */
  port: whole.max(65_535).default(0),
  seed: z.union([z.string(), z.number()]).default(1),
  /** Every machine boots in exactly this time; absent = the range of its SKU. */
  bootMs: whole.optional(),
  /** How much faster than real the vendor's time runs; 0 = it stands still. */
  timeScale: z.coerce.number<number | string>().min(0).max(100_000).default(1),
  /** Stock of every SKU; absent = that of the price list. */
  stock: whole.optional(),
  /** How often an hour each preemptible machine is taken away by itself; absent = the rate of its SKU. */
  preemptionsPerHour: z.coerce.number<number | string>().min(0).optional(),
  /** Bearer key of the vendor's API and of the control plane. */
  key: z.string().min(1).default('sandbox-key'),
  kind: z.enum(providerKinds).default('hyperscaler'),
  clientTokens: z.boolean().default(false),
  windowMs: whole.default(0),
  stopMs: whole.default(2_000),
  pageSize: whole.min(1).max(1_000).default(100),
  /** `process`: a real agent is started for every running machine. */
  agents: z.enum(['none', 'process']).default('none'),
  /** What starts an agent; `--broker`, `--token` and `--state-dir` are appended. */
  agentCommand: z.array(z.string().min(1)).min(1).default(['node', builtAgent]),
  /** Where the machines' disks are; absent = a temporary folder, removed at the end. */
  stateDir: z.string().min(1).optional(),
  faults: z.array(faultRuleSchema).default([]),
});
export type SandboxOptions = z.input<typeof sandboxOptionsSchema>;
export type ResolvedSandboxOptions = z.output<typeof sandboxOptionsSchema>;

export const usage = `Usage: sandbox [--port 0] [--host 127.0.0.1] [--seed 1] [--boot-ms MS] [--time-scale 1] [--stock N] [--preemptions-per-hour N]
  [--key KEY] [--kind ${providerKinds.join('|')}] [--client-tokens] [--window-ms 0] [--stop-ms 2000] [--page-size 100]
  [--agents none|process] [--agent-command "node main.js"] [--state-dir DIR] [--faults JSON]`;

/** Reads the flags of the program; throws an Error with one sentence for each wrong one. */
export function parseFlags(argv: readonly string[]): SandboxOptions {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args: [...argv],
    strict: true,
    options: {
      host: text,
      port: text,
      seed: text,
      'boot-ms': text,
      'time-scale': text,
      stock: text,
      'preemptions-per-hour': text,
      key: text,
      kind: text,
      'client-tokens': { type: 'boolean' },
      'window-ms': text,
      'stop-ms': text,
      'page-size': text,
      agents: text,
      'agent-command': text,
      'state-dir': text,
      faults: text,
    },
  });
  const given = Object.entries(values).map(([flag, value]): [string, unknown] => {
    const name = flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
    if (flag === 'agent-command') return [name, String(value).split(/\s+/).filter(Boolean)];
    return [name, flag === 'faults' ? readJson(String(value)) : value];
  });
  const parsed = sandboxOptionsSchema.safeParse(Object.fromEntries(given));
  if (parsed.success) return parsed.data;
  throw new Error(parsed.error.issues.map((i) => `${flagOf(i.path)}: ${i.message}`).join('\n'));
}

function flagOf(path: readonly PropertyKey[]): string {
  return `--${path.join('.').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new Error('--faults: must be a JSON list of fault rules');
  }
}

/** What a freshly booted machine knows: how to find programs, and nothing of the environment the sandbox runs in. */
export function machineEnvironment(env: Readonly<NodeJS.ProcessEnv> = process.env): Record<string, string> {
  const { PATH, LANG } = env;
  return { ...(PATH === undefined ? {} : { PATH }), ...(LANG === undefined ? {} : { LANG }) };
}
