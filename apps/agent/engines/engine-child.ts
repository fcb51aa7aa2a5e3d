/**
 * Entry of an engine process. A model runs apart from the agent, so that neither a long computation nor a crash of native code
 * stops the agent's polling. argv: URL of the backend module, its options as JSON.
 * Imports nothing of this project at run time, so that the file runs as it is, built or from source.
 */
import type { ChatQuestion } from './engine.js';

export type ChildRequest =
  | { readonly id: number; readonly op: 'embed'; readonly texts: readonly string[] }
  | { readonly id: number; readonly op: 'chat'; readonly question: ChatQuestion }
  | { readonly id: number; readonly op: 'cancel' };

export type ChildAnswer =
  | { readonly op: 'ready' }
  | { readonly op: 'unavailable'; readonly message: string }
  | { readonly op: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly op: 'broken'; readonly id: number; readonly message: string };

interface Backend {
  embed?(texts: readonly string[], cancelled: () => boolean): Promise<unknown>;
  chat?(question: ChatQuestion, cancelled: () => boolean): Promise<unknown>;
}

const send = (answer: ChildAnswer): void => void process.send?.(answer);
const words = (error: unknown): string => (error instanceof Error ? error.message : String(error));

// An agent that was killed must not leave its engines behind.
process.on('disconnect', () => process.exit(0));

const [moduleUrl = '', options = '{}'] = process.argv.slice(2);
const backend = await open(moduleUrl, options);
if (backend) serve(backend);

async function open(url: string, optionsJson: string): Promise<Backend | undefined> {
  try {
    const module = (await import(url)) as { openBackend(options: unknown): Promise<Backend> };
    const opened = await module.openBackend(JSON.parse(optionsJson));
    send({ op: 'ready' });
    return opened;
  } catch (error) {
    send({ op: 'unavailable', message: words(error) });
    process.disconnect?.();
    return undefined;
  }
}

/** One request at a time, in order of arrival: the model has one thread. */
function serve(served: Backend): void {
  const cancelled = new Set<number>();
  let last = Promise.resolve();
  process.on('message', (request: ChildRequest) => {
    if (request.op === 'cancel') {
      cancelled.add(request.id);
      return;
    }
    last = last.then(async () => {
      const stop = (): boolean => cancelled.has(request.id);
      try {
        const value = stop() ? null : await answer(served, request, stop);
        send({ op: 'answer', id: request.id, value });
      } catch (error) {
        send({ op: 'broken', id: request.id, message: words(error) });
      }
      cancelled.delete(request.id);
    });
  });
}

function answer(
  served: Backend,
  request: Exclude<ChildRequest, { op: 'cancel' }>,
  stop: () => boolean,
): Promise<unknown> {
  if (request.op === 'embed' && served.embed) return served.embed(request.texts, stop);
  if (request.op === 'chat' && served.chat) return served.chat(request.question, stop);
  throw new Error(`this model does not ${request.op}`);
}
