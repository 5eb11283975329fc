import { readEvents } from './sse.js';

/**
 * Asks the assistant and gives its reply as it is written.
 * @param {import('./api.js').Api} api
 * @param {{message: string, conversationId?: string, history: {role: string, content: string}[]}} question
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<{type: 'content' | 'error' | 'stopped', text?: string, message?: string,
 *   messageId?: string, conversationId?: string}>}
 * @throws {Error} when the server refuses, or the line breaks before the end
 */
export async function* streamReply(api, question, signal) {
  const response = await api.ask(question, signal);
  for await (const { data } of readEvents(response)) {
    if (data === '[DONE]') return;
    yield JSON.parse(data);
  }
  throw new Error('The reply was cut off.');
}
