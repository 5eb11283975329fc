import { backoff, Pause } from './clock.js';
import { asHttpError, HttpError } from './http.js';
import { readEvents } from './parser.js';

const MOST_BREAKS = 6; // in a row, without a word in between

/**
 * A part of a reply: `content` with the next piece of text; `queued` with its place; `stopped`; `error`.
 * @typedef {{type: string, text?: string, index?: number, position?: number, by?: string, code?: string,
 *   message?: string, messageId?: string, conversationId?: string}} Part
 */

/**
 * An AI reply as it is written: `for await (const part of reply)`, or `await reply.text()`. A
 * connection that breaks is taken up after the last piece that came; the reply outlives it.
 */
export class Reply {
  messageId = '';
  /** @type {string | undefined} */
  conversationId;
  #client;
  #question;
  #signal;
  #pause = new Pause();

  /**
   * @param {import('./chatrooms.js').Chatrooms} client
   * @param {{message?: string, messageId?: string, [field: string]: unknown}} question the body of POST
   *   /api/chat/stream; with only `messageId`, a reply that there is already
   * @param {AbortSignal} [signal] ends the reading, not the reply: that is `stop`
   */
  constructor(client, question, signal) {
    this.#client = client;
    this.#question = question;
    this.#signal = signal;
    if (question.message === undefined) this.messageId = question.messageId ?? '';
  }

  /** Ends the reply on the server; its readers see `stopped`. */
  async stop() {
    if (this.messageId) await this.#client.call('DELETE', this.#path());
  }

  /**
   * The whole text, when it is there.
   * @param {(text: string, whole: string) => void} [onText] called with each piece, and all so far
   * @throws {HttpError} when it failed; its `code` is that of the `error` part
   */
  async text(onText) {
    let whole = '';
    for await (const part of this) {
      if (part.type === 'error') throw new HttpError(200, part.code ?? 'ai-failed', part.message ?? 'The reply failed.');
      if (part.type !== 'content' || !part.text) continue;
      whole += part.text;
      onText?.(part.text, whole);
    }
    return whole;
  }

  /** @returns {AsyncGenerator<Part>} @throws {HttpError} when the server refuses, or cannot be reached for long */
  async *[Symbol.asyncIterator]() {
    let last = -1;
    for (let breaks = 0; ; ) {
      try {
        const response = await this.#open(last);
        for await (const { data } of readEvents(response)) {
          if (data === '[DONE]') return;
          const part = /** @type {Part} */ (JSON.parse(data));
          if (part.index !== undefined && part.index <= last) continue;
          last = part.index ?? last;
          this.messageId ||= part.messageId ?? '';
          this.conversationId ??= part.conversationId;
          breaks = 0;
          if (part.type !== 'heartbeat') yield part;
        }
        breaks += 1;
      } catch (thrown) {
        if (this.#signal?.aborted) throw thrown;
        const error = asHttpError(thrown);
        if (!error.passing || !this.messageId || breaks++ >= MOST_BREAKS) throw error;
        await this.#wait(Math.max(error.retryAfterMs, backoff(this.#client.clock, breaks - 1)));
        continue;
      }
      if (!this.messageId || breaks > MOST_BREAKS) throw new HttpError(0, 'network', 'The reply was cut off.');
      await this.#wait(backoff(this.#client.clock, breaks - 1));
    }
  }

  /** @param {number} last */
  async #open(last) {
    const call = { signal: this.#signal, timeoutMs: 0 };
    if (this.messageId) return this.#client.call('GET', `${this.#path()}${last < 0 ? '' : `?after=${last}`}`, call);
    const response = await this.#client.call('POST', '/api/chat/stream', { ...call, body: this.#question });
    this.messageId = response.headers.get('X-Message-Id') ?? '';
    return response;
  }

  /** @param {number} ms */
  async #wait(ms) {
    const end = () => this.#pause.end();
    this.#signal?.addEventListener('abort', end);
    await this.#pause.for(this.#client.clock, ms);
    this.#signal?.removeEventListener('abort', end);
    this.#signal?.throwIfAborted();
  }

  #path() {
    return `/api/chat/stream/${encodeURIComponent(this.messageId)}`;
  }
}
