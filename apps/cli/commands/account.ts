import type { Command } from 'commander';
import type { Me } from '#client';
import { idArgument, pages, withBroker, flagsOf } from '../command.js';
import { tell, UsageError } from '../exit.js';
import { money, oneOf } from '../flags.js';
import { readStdin } from '../input.js';
import { factsText, outputOf, print, rowsText, type Output } from '../output.js';
import { forgetLogin, isAddress, isKey, openSession, saveLogin } from '../session.js';
import { ago, dollars, typedDollars } from '../text.js';

const ROLES = ['member', 'admin'] as const;

export function registerAccount(berth: Command): void {
  berth
    .command('login')
    .description('remember a broker and a key (readable by you only)')
    .requiredOption('--url <url>', 'address of the broker')
    .option('--key <key>', 'API key; it then stands in your shell’s history: --key-stdin does not')
    .option('--key-stdin', 'read the key from standard input')
    .addHelpText('after', '\nExamples:\n  berth login --url http://127.0.0.1:7070 --key-stdin < key.txt')
    .action(async (options: { url: string; key?: string; keyStdin?: boolean }, command: Command) => {
      const { profile, ...flags } = flagsOf(command);
      const key = (options.keyStdin ? await readStdin() : (options.key ?? '')).trim();
      if (!isKey(key)) throw new UsageError('give a key with --key or --key-stdin: one word');
      if (!isAddress(options.url))
        throw new UsageError(`"${options.url}" is not an address such as http://127.0.0.1:7070`);
      const { brokerClient, answerOf, getMe } = await import('#client');
      const me = await answerOf(getMe({ client: brokerClient({ url: options.url, key }) }));
      saveLogin(profile, { url: options.url, key });
      print(whoText(me, outputOf(flags)));
    });

  berth
    .command('logout')
    .description('forget the key')
    .addHelpText('after', '\nExamples:\n  berth logout\n  berth --profile other logout')
    .action((_options: unknown, command: Command) => {
      const { profile, ...flags } = flagsOf(command);
      const forgotten = forgetLogin(profile);
      if (!outputOf(flags).quiet) tell(forgotten ? 'Forgotten.' : 'There was no login to forget.');
    });

  berth
    .command('whoami')
    .description('show whose key is in use')
    .addHelpText('after', '\nExamples:\n  berth whoami')
    .action(async (_options: unknown, command: Command) => {
      const { profile, ...flags } = flagsOf(command);
      const { client } = await openSession(profile);
      const { answerOf, getMe } = await import('#client');
      const me = await answerOf(getMe({ client }));
      print(whoText(me, outputOf(flags)));
    });

  const orgs = berth.command('orgs').description('tenants and providers (platform administrators)');
  orgs
    .command('create <name>')
    .description('create a tenant or provider, with a first key that is shown once')
    .option('--provider', 'a provider instead of a tenant')
    .option('--credit <dollars>', 'give a tenant credit', money)
    .option('--login', 'log in with the new key')
    .addHelpText('after', '\nExamples:\n  berth --profile admin orgs create acme --credit 25 --login')
    .action(
      withBroker(
        async (
          { client, login, output },
          name: string,
          options: { provider?: boolean; credit?: string; login?: boolean },
        ) => {
          const { addCredit, answerOf, createOrganization } = await import('#client');
          const amountNano = options.credit ?? null;
          if (options.provider && amountNano !== null)
            throw new UsageError('credit is for tenants, not for a provider');
          const created = await answerOf(
            createOrganization({
              client,
              body: { name, kind: options.provider ? 'provider' : 'tenant', keyName: 'first' },
            }),
          );
          // What is shown once comes first: the credit can be given again, the key cannot.
          print(
            factsText(
              created,
              [
                ['organization', created.organization.id],
                ['project', created.project?.id ?? null],
                ['key', created.key?.secret ?? null],
              ],
              output,
            ),
          );
          if (options.login && created.key) saveLogin('default', { url: login.url, key: created.key.secret });
          if (!output.quiet)
            tell(options.login ? 'You are logged in with it; it is shown this once.' : 'The key is shown this once.');
          if (amountNano !== null)
            await answerOf(
              addCredit({
                client,
                body: { organizationId: created.organization.id, amountNano, kind: 'grant', reference: 'first credit' },
              }),
            ).catch((error: unknown) => {
              const id = created.organization.id;
              if (!output.quiet)
                tell(
                  `The tenant was made, without the credit. Give it: berth orgs credit ${id} ${typedDollars(amountNano)} --reference "first credit"`,
                );
              throw error;
            });
          if (amountNano !== null && !output.quiet) tell(`It has ${dollars(amountNano)} of credit.`);
        },
      ),
    );
  orgs
    .command('ls')
    .description('list organizations')
    .addHelpText('after', '\nExamples:\n  berth --profile admin orgs ls')
    .action(
      withBroker(async ({ client, output }) => {
        const { answerOf, listOrganizations } = await import('#client');
        const rows = await pages(null, (cursor, limit) =>
          answerOf(listOrganizations({ client, query: { limit, ...(cursor === undefined ? {} : { cursor }) } })),
        );
        print(
          rowsText(
            rows,
            [
              { title: 'id', of: (r) => r.id },
              { title: 'name', of: (r) => r.name },
              { title: 'kind', of: (r) => r.kind },
              { title: 'state', of: (r) => r.state },
            ],
            output,
          ),
        );
      }),
    );
  orgs
    .command('credit')
    .argument('<id>', 'a tenant', idArgument('org'))
    .argument('<dollars>', 'such as 25', money)
    .description('give a tenant credit')
    .requiredOption('--reference <text>', 'counts once: the same reference posts nothing twice')
    .addHelpText(
      'after',
      '\nExamples:\n  berth --profile admin orgs credit org_01j00000000000000000000000 25 --reference order-17',
    )
    .action(
      withBroker(async ({ client, output }, id: string, amountNano: string, options: { reference: string }) => {
        const { addCredit, answerOf } = await import('#client');
        const after = await answerOf(
          addCredit({
            client,
            body: { organizationId: id as `org_${string}`, amountNano, kind: 'grant', reference: options.reference },
          }),
        );
        print(
          factsText(
            after,
            [
              ['available', dollars(after.available)],
              ['balance', dollars(after.balance)],
              ['posted', after.posted ? 'yes' : 'no, this reference was posted before'],
            ],
            output,
          ),
        );
      }),
    );

  const projects = berth.command('projects').description('projects of your organization');
  projects
    .command('ls')
    .description('list projects')
    .addHelpText('after', '\nExamples:\n  berth projects ls')
    .action(
      withBroker(async ({ client, output }) => {
        const { answerOf, listProjects } = await import('#client');
        const rows = await pages(null, (cursor, limit) =>
          answerOf(listProjects({ client, query: { limit, ...(cursor === undefined ? {} : { cursor }) } })),
        );
        print(
          rowsText(
            rows,
            [
              { title: 'id', of: (r) => r.id },
              { title: 'name', of: (r) => r.name },
              { title: 'created', of: (r) => ago(r.createdAt) },
            ],
            output,
          ),
        );
      }),
    );
  projects
    .command('create <name>')
    .description('create a project')
    .addHelpText('after', '\nExamples:\n  berth projects create research')
    .action(
      withBroker(async ({ client, output }, name: string) => {
        const { answerOf, createProject } = await import('#client');
        const project = await answerOf(createProject({ client, body: { name } }));
        print(
          factsText(
            project,
            [
              ['project', project.id],
              ['name', project.name],
            ],
            output,
          ),
        );
      }),
    );

  const keys = berth.command('keys').description('API keys of your organization');
  keys
    .command('ls')
    .description('list keys; the secrets themselves are not kept')
    .addHelpText('after', '\nExamples:\n  berth keys ls')
    .action(
      withBroker(async ({ client, output }) => {
        const { answerOf, listKeys } = await import('#client');
        const rows = await pages(null, (cursor, limit) =>
          answerOf(listKeys({ client, query: { limit, ...(cursor === undefined ? {} : { cursor }) } })),
        );
        print(
          rowsText(
            rows,
            [
              { title: 'id', of: (r) => r.id },
              { title: 'name', of: (r) => r.name },
              { title: 'role', of: (r) => r.role },
              { title: 'prefix', of: (r) => `${r.prefix}…` },
              { title: 'last used', of: (r) => (r.lastUsedAt ? ago(r.lastUsedAt) : 'never') },
              {
                title: 'state',
                of: (r) =>
                  r.revokedAt ? 'revoked' : r.expiresAt && Date.parse(r.expiresAt) < Date.now() ? 'expired' : 'active',
              },
            ],
            output,
          ),
        );
      }),
    );
  keys
    .command('create <name>')
    .description('create a key; it is shown once')
    .option('--role <role>', 'member, of one project, or admin', oneOf(ROLES), 'member')
    .option('--project <id>', 'the project of a member key', idArgument('prj'))
    .addHelpText('after', '\nExamples:\n  berth keys create ci --project prj_01j00000000000000000000000')
    .action(
      withBroker(
        async ({ client, output }, name: string, options: { role: (typeof ROLES)[number]; project?: string }) => {
          const { answerOf, createKey } = await import('#client');
          if (options.role === 'member' && options.project === undefined)
            throw new UsageError(
              'a member key needs --project (see: berth projects ls); --role admin is for all of them',
            );
          const key = await answerOf(
            createKey({
              client,
              body: {
                name,
                role: options.role,
                ...(options.project === undefined ? {} : { projectId: options.project as `prj_${string}` }),
              },
            }),
          );
          print(
            factsText(
              key,
              [
                ['id', key.id],
                ['key', key.secret],
              ],
              output,
            ),
          );
        },
      ),
    );
  keys
    .command('revoke')
    .argument('<id>', 'a key', idArgument('key'))
    .description('end a key; it stops working within a second')
    .addHelpText('after', '\nExamples:\n  berth keys revoke key_01j00000000000000000000000')
    .action(
      withBroker(async ({ client, output }, id: string) => {
        const { answerOf, revokeKey } = await import('#client');
        await answerOf(revokeKey({ client, path: { id: id as `key_${string}` } }));
        if (!output.quiet) tell('Revoked.');
      }),
    );
}

function whoText(me: Me, output: Output): string {
  return factsText(
    me,
    [
      ['key', me.keyId],
      ['organization', me.organizationId],
      ['kind', me.organizationKind],
      ['role', me.role],
      ['projects', me.projectIds?.join(', ') ?? 'all'],
    ],
    output,
  );
}
