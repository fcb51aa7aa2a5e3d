/**
 * Runs inside an engine process: one GGUF model through llama.cpp, one sequence, one thread.
 * Imports nothing of this project at run time, so that the file runs as it is, built or from source.
 */
import { getLlama, LlamaLogLevel, resolveChatWrapper } from 'node-llama-cpp';
import type { ChatHistoryItem, Token } from 'node-llama-cpp';
import type { ChatAnswer, ChatQuestion, Refusal } from './engine.js';

/** Context of models that allow more than this: memory is per token of context. */
const CONTEXT_TOKENS_MAX = 4_096;

export async function openBackend(options: { path: string }) {
  const llama = await getLlama({
    gpu: false,
    build: 'never',
    skipDownload: true,
    maxThreads: 1,
    logLevel: LlamaLogLevel.error,
    progressLogs: false,
  });
  const model = await llama.loadModel({ modelPath: options.path, gpuLayers: 0 });
  const contextTokens = Math.min(CONTEXT_TOKENS_MAX, model.trainContextSize);
  const context = await model.createContext({ contextSize: contextTokens, threads: 1, sequences: 1 });
  const sequence = context.getSequence();
  const wrapper = resolveChatWrapper(model, { warningLogs: false });

  async function chat(question: ChatQuestion, cancelled: () => boolean): Promise<ChatAnswer | Refusal> {
    const { contextText } = wrapper.generateContextState({ chatHistory: history(question) });
    const prompt = contextText.tokenize(model.tokenizer);
    if (model.tokens.shouldPrependBosToken && model.tokens.bos !== null && prompt[0] !== model.tokens.bos) {
      prompt.unshift(model.tokens.bos);
    }
    if (prompt.length + question.maxTokens > contextTokens) {
      return {
        refused: {
          code: 'context_length_exceeded',
          message: `The prompt has ${prompt.length} tokens and asks for ${question.maxTokens} more; this model holds ${contextTokens} in all.`,
        },
      };
    }

    // The same question must give the same tokens: a kept prefix changes batch shapes, and with them the last bits of logits.
    await sequence.clearHistory();
    const produced: Token[] = [];
    const stopBytes = Math.max(0, ...question.stop.map((stop) => Buffer.byteLength(stop)));
    let stopped = false;
    let finishReason: 'stop' | 'length' = 'length';
    const tokens = sequence.evaluate(prompt, {
      temperature: question.temperature,
      topP: question.topP,
      seed: question.seed,
      yieldEogToken: true,
    });
    for await (const token of tokens) {
      if (cancelled()) break;
      produced.push(token);
      if (model.isEogToken(token)) {
        produced.pop();
        finishReason = 'stop';
        break;
      }
      // A stop text lies within its own length of the end (a token is at least a byte): the rest need not be read again.
      if (stopBytes > 0 && firstStop(model.detokenize(produced.slice(-stopBytes - 8)), question.stop) >= 0) {
        stopped = true;
        finishReason = 'stop';
        break;
      }
      if (produced.length >= question.maxTokens) break;
    }
    const whole = model.detokenize(produced);
    const text = stopped ? whole.slice(0, firstStop(whole, question.stop)) : whole;
    return { text, finishReason, promptTokens: prompt.length, completionTokens: produced.length };
  }

  return { chat };
}

/** The turns as the library's history; the open model turn at the end is what will be written. */
function history(question: ChatQuestion): ChatHistoryItem[] {
  const items: ChatHistoryItem[] = question.messages.map((message) => {
    if (message.role === 'assistant') return { type: 'model', response: [message.content] };
    return { type: message.role === 'user' ? 'user' : 'system', text: message.content };
  });
  if (items.at(-1)?.type !== 'model') items.push({ type: 'model', response: [] });
  return items;
}

/** Where the earliest stop text begins, or -1. */
function firstStop(text: string, stops: readonly string[]): number {
  const found = stops
    .filter((stop) => stop.length > 0)
    .map((stop) => text.indexOf(stop))
    .filter((at) => at >= 0);
  return found.length === 0 ? -1 : Math.min(...found);
}
