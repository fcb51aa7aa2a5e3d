import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';

export const HELP = `berth-agent: runs on a rented or registered machine, reports it to a broker and does the work it is given.

Usage: berth-agent --broker URL --state-dir DIR [--token TOKEN | --token-file FILE] [options]

  --broker URL        address of the broker, for instance https://broker.example.com
  --state-dir DIR     where the credential, the journal and the work folders live (made if missing, mode 0700)
  --token TOKEN       one-time enrolment token; needed for the first start only
  --token-file FILE   the same from a file, so that it does not show in the list of processes
  --name NAME         how this machine is called (default: its host name)
  --slots N           works to run at the same time (default: one per GPU, else 1)
  --gguf FILE         a GGUF model to serve for chat; its model id is the file name without .gguf
  --log-level LEVEL   trace, debug, info, warn, error or silent (default: info); logs are JSON lines on stderr
  --version           print the version
  --help              print this text

Exit codes: 0 stopped or dismissed by the broker, 1 crashed or stopped hard, 2 wrong usage, 3 the credential is dead,
4 another agent uses this machine's credential or state folder, 5 not enrolled.
`;

const flagsSchema = z.object({
  broker: z.string({ error: 'is required' }).refine((url) => /^https?:\/\/[^\s/]/.test(url) && URL.canParse(url), {
    error: 'must be a URL that begins with http:// or https://',
  }),
  'state-dir': z.string({ error: 'is required' }).min(1, { error: 'must not be empty' }),
  token: z.string().min(1, { error: 'must not be empty' }).max(200, { error: 'is too long for a token' }).optional(),
  name: z
    .string()
    .min(1, { error: 'must not be empty' })
    .max(255, { error: 'must have at most 255 characters' })
    .optional(),
  slots: z
    .string()
    .regex(/^\d+$/, { error: 'must be a whole number' })
    .transform(Number)
    .pipe(z.int().min(1, { error: 'must be at least 1' }).max(256, { error: 'must be at most 256' }))
    .optional(),
  gguf: z
    .string()
    .refine((path) => existsSync(path), { error: 'names a file that does not exist' })
    .optional(),
  'log-level': z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'], {
      error: 'must be trace, debug, info, warn, error or silent',
    })
    .default('info'),
});

export interface AgentFlags {
  readonly brokerUrl: string;
  readonly stateDir: string;
  readonly token: string | undefined;
  readonly name: string | undefined;
  readonly slots: number | undefined;
  readonly ggufPath: string | undefined;
  readonly logLevel: z.infer<typeof flagsSchema>['log-level'];
}

export type ParsedFlags =
  | { readonly kind: 'run'; readonly flags: AgentFlags }
  | { readonly kind: 'help' | 'version' }
  | { readonly kind: 'wrong'; readonly sentences: readonly string[] };

/** Reads the command line; whatever is wrong comes back as sentences, all of them at once. */
export function parseFlags(argv: readonly string[]): ParsedFlags {
  let values: Record<string, string | boolean | undefined>;
  try {
    const text = { type: 'string' } as const;
    const options = {
      broker: text,
      'state-dir': text,
      token: text,
      'token-file': text,
      name: text,
      slots: text,
      gguf: text,
      'log-level': text,
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean' },
    } as const;
    ({ values } = parseArgs({ args: [...argv], options, allowPositionals: false }));
  } catch (error) {
    return { kind: 'wrong', sentences: [error instanceof Error ? error.message : String(error)] };
  }
  if (values['help']) return { kind: 'help' };
  if (values['version']) return { kind: 'version' };

  const sentences: string[] = [];
  const tokenFile = values['token-file'];
  if (typeof tokenFile === 'string') {
    if (values['token'] !== undefined) sentences.push('--token and --token-file exclude each other.');
    try {
      values['token'] = readFileSync(tokenFile, 'utf8').trim();
    } catch (error) {
      sentences.push(`--token-file cannot be read: ${error instanceof Error ? error.message : String(error)}.`);
    }
  }
  const parsed = flagsSchema.safeParse(values);
  if (!parsed.success)
    sentences.push(...parsed.error.issues.map((issue) => `--${issue.path.join('.')} ${issue.message}.`));
  if (!parsed.success || sentences.length > 0) return { kind: 'wrong', sentences };
  const { data } = parsed;
  return {
    kind: 'run',
    flags: {
      brokerUrl: data.broker,
      stateDir: resolve(data['state-dir']),
      token: data.token,
      name: data.name,
      slots: data.slots,
      ggufPath: data.gguf === undefined ? undefined : resolve(data.gguf),
      logLevel: data['log-level'],
    },
  };
}
