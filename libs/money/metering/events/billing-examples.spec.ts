import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { DAY, formatUsd, ManualClock, MINUTE, SeededRandom } from '#kernel';
import { MemoryStore, WORKER } from '#platform/database';
import { projects } from '#identity/tenancy';
import { usageRecords } from '../usage.table.js';
import { EVENT_BATCH_MAX, UsageEvents, type EventAnswer } from './usage-events.service.js';

/** The examples of docs/billing.md on usage events: the event that stands there is sent, and each line says what is answered. */
const text = readFileSync(join(process.cwd(), 'docs/billing.md'), 'utf8');
const section = text.slice(text.indexOf('## Usage that you measure'), text.indexOf('## Paying\n'));
const doc = section.replace(/\n> ?/g, ' ').replace(/\s+/g, ' ');
const example = JSON.parse(/```json\n([^`]+)```/.exec(section)?.[1] ?? '') as { time: string; data: object };
const rows = [...section.matchAll(/^\| (.+?) +\| (.+?) +\|$/gm)].map(([, sent = '', answered = '']) => [
  sent,
  answered,
]);

describe('docs/billing.md', () => {
  it('what becomes of an event', async () => {
    const nowMs = Date.parse(example.time) + MINUTE;
    const clock = new ManualClock(nowMs);
    const store = new MemoryStore(clock);
    const none = { jobs: new Map<string, string>(), leases: new Map<string, string>() };
    const events = new UsageEvents(store, clock, new SeededRandom('doc'), () => Promise.resolve(none));
    const organizationId = 'org_doc';
    await store.transaction(WORKER, (tx) =>
      tx.insert(projects, { id: 'prj_doc', organizationId, name: 'default', createdAt: nowMs }),
    );
    const at = (ms: number) => ({ ...example, time: new Date(nowMs + ms).toISOString() });
    const { projectId: _, ...data } = example.data as { projectId: string };
    const sent: Readonly<Record<string, object>> = {
      'the event': example,
      'the event again': example,
      'the same id with 1300 tokens': { ...example, data: { ...example.data, quantity: 1300 } },
      'the same id from another source': { ...example, source: '/gateways/us-1' },
      'another id without a project': { ...example, id: 'b', data },
      'another id, 36 days ago': { ...at(-36 * DAY), id: 'c' },
      'another id, 6 minutes ahead': { ...at(6 * MINUTE), id: 'd' },
    };
    const answers = await events.receive({ as: 'tenant', organizationId, projectIds: 'all' }, Object.values(sent));
    const shown = Object.keys(sent).map((what, n) => [what, word(answers[n])]);
    expect(rows.slice(1)).toEqual([[expect.stringMatching(/^-+$/), expect.stringMatching(/^-+$/)], ...shown]);

    const [record] = store.rows(usageRecords);
    expect(doc).toContain(
      `The event above makes one record of ${record?.quantity} ${record?.unit} of \`${record?.meter}\` at ${formatUsd(record?.amountNano ?? -1n)}.`,
    );
    expect(doc).toContain(`up to ${EVENT_BATCH_MAX.toLocaleString('en')} in a list`);
  });
});

function word(answer: EventAnswer | undefined): string {
  if (answer?.outcome === 'accepted') return answer.attributed ? 'accepted' : 'accepted, unattributed';
  return answer?.outcome === 'rejected' ? `rejected: ${answer.code}` : (answer?.outcome ?? '');
}
