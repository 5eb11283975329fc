import { backoff } from './backoff.js';
import { readEvents } from './sse.js';

const MOST_RESUMES = 4;

/**
 * Asks the assistant and gives its reply as it is written. A reply outlives its connection, so a
 * line that breaks is taken up again after the last piece that came.
 * @param {import('./api.js').Api} api
 * @param {{message: string, conversationId?: string, history: {role: string, content: string}[]}} question
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<{type: 'started' | 'queued' | 'content' | 'error' | 'stopped', text?: string,
 *   message?: string, by?: string, position?: number, messageId?: string, conversationId?: string, index?: number}>}
 * @throws {Error} when the server refuses, or the line stays broken
 */
export async function* streamReply(api, question, signal) {
  let response = await api.ask(question, signal);
  const messageId = response.headers.get('X-Message-Id');
  yield { type: 'started', messageId };
  let last = -1;
  for (let breaks = 0; ; breaks += 1) {
    for await (const { data } of whole(response, signal)) {
      if (data === '[DONE]') return;
      const part = JSON.parse(data);
      last = part.index ?? last;
      yield part;
    }
    if (!messageId || breaks >= MOST_RESUMES) throw new Error('The reply was cut off.');
    await new Promise((resolve) => { setTimeout(resolve, backoff(breaks)); });
    response = await api.resumeReply(messageId, last, signal);
  }
}

/** The events up to the end of the response, however it came about. */
async function* whole(response, signal) {
  try {
    yield* readEvents(response);
  } catch (error) {
    if (signal.aborted) throw error;
  }
}
