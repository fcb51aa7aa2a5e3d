import { describe, expect, it } from '@jest/globals';
import type { BatchLine } from '#contracts';
import { mostTokens } from './most-tokens.js';

const embed = (input: string | string[]): BatchLine => ({
  custom_id: 'a',
  method: 'POST',
  url: '/v1/embeddings',
  body: { model: 'm', input },
});
const chat = (body: object): BatchLine => ({
  custom_id: 'a',
  method: 'POST',
  url: '/v1/chat/completions',
  body: { model: 'm', messages: [{ role: 'user', content: 'héllo' }], ...body },
});

describe('the most tokens of a request', () => {
  it.each([
    ['bytes of a text and what is put around it', embed('héllo'), { input: 22, output: 0 }],
    ['each of several texts', embed(['a', 'bcd']), { input: 36, output: 0 }],
    ['an answer of 32 where the line does not say', chat({}), { input: 38, output: 32 }],
    ['max_tokens', chat({ max_tokens: 7 }), { input: 38, output: 7 }],
    ['max_completion_tokens before it', chat({ max_tokens: 7, max_completion_tokens: 9 }), { input: 38, output: 9 }],
    [
      'every message, with its name',
      chat({
        messages: [
          { role: 'system', content: 'x', name: 'bob' },
          { role: 'user', content: '' },
        ],
      }),
      { input: 16 + 17 + 3 + 16, output: 32 },
    ],
  ])('%s', (_, line, most) => expect(mostTokens(line)).toEqual(most));
});
