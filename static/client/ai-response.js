import { Chatrooms } from './chatrooms.js';

/**
 * Asks the assistant as the user signed in in this tab.
 * @param {string} message
 * @param {{role: string, content: string}[]} [history] of the conversation
 * @param {{onText?: (text: string, whole: string) => void, signal?: AbortSignal} & ConstructorParameters<typeof Chatrooms>[0]} [options]
 *   `onText` gets each piece and the text so far; `signal` ends the reply on the server too; the rest are Chatrooms'
 * @returns {Promise<string>} the whole text
 * @throws {import('./http.js').HttpError} when the server refuses or the reply fails; AbortError when `signal` fired
 */
export async function streamAIResponse(message, history = [], { onText, signal, ...options } = {}) {
  const client = new Chatrooms({ ...options, share: false });
  const reply = await client.streamReply({ message, history }, { signal });
  const stop = () => reply.stop().catch(() => {}); // the server ends it anyway when nobody reads it
  signal?.addEventListener('abort', stop);
  try {
    return await reply.text(onText);
  } finally {
    signal?.removeEventListener('abort', stop);
    client.close();
  }
}
