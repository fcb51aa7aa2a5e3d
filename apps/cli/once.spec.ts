import { describe, expect, it } from '@jest/globals';
import { BrokerUnreachable } from '#client';
import { EXIT } from './exit.js';
import { answeredOnce } from './once.js';

const run = { login: { url: 'http://here:1', key: 'k' } };
const once = { key: 'the-key', unsure: 'it may be done', again: 'does it once' };
const failed = (error: Error) => answeredOnce(run, once, Promise.reject(error));

describe('what must happen once', () => {
  it('answers what was answered', async () => {
    expect(await answeredOnce(run, once, Promise.resolve(7))).toBe(7);
  });

  it('names the key when the answer was lost', async () => {
    const lost = failed(new BrokerUnreachable(run.login.url, new Error('socket hang up')));
    await expect(lost).rejects.toMatchObject({
      code: EXIT.retryLater,
      message: `no answer came from http://here:1: it may be done.\n  The same command with --idempotency-key the-key does it once.`,
    });
  });

  it('does not where nothing was sent, or something was answered', async () => {
    const refused = new BrokerUnreachable(run.login.url, Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }));
    await expect(failed(refused)).rejects.toBe(refused);
    const answered = new Error('409');
    await expect(failed(answered)).rejects.toBe(answered);
  });
});
