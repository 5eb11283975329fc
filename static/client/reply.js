import { asHttpError, HttpError } from './http.js';
import { lines } from './line.js';
import { readEvents } from './parser.js';
import { Queue } from './queue.js';
import { Stream } from './stream.js';

const MOST_BREAKS = 6; // in a row, without any text in between
const DONE = '[DONE]';
const CUT_OFF = 'The reply was cut off.';

/**
 * A part of a reply: `content` with the next piece of text; `queued` with its place; `stopped`; `error`.
 * @typedef {{type: string, text?: string, index?: number, position?: number, by?: string, code?: string,
 *   message?: string, messageId?: string, conversationId?: string}} Part
 */

/**
 * An AI reply as it is written: `for await (const part of reply)`, or `await reply.text()`. After a
 * broken connection, reading resumes behind the last piece, over the connection that tabs share. The
 * reply outlives both.
 */
export class Reply {
  messageId = '';
  /** @type {string | undefined} */
  conversationId;
  #client;
  #question;
  #signal;
  #last = -1;

  /**
   * @param {import('./chatrooms.js').Chatrooms} client
   * @param {{message?: string, messageId?: string, [field: string]: unknown}} question the body of POST
   *   /api/chat/stream; with only `messageId`, an existing reply
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
   * The whole text, once it is complete.
   * @param {(text: string, whole: string) => void} [onText] called with each piece and the text so far
   * @throws {HttpError} when the reply failed; `code` is that of the `error` part
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

  /** @returns {AsyncGenerator<Part>} @throws {HttpError} when the server refuses, or stays unreachable */
  async *[Symbol.asyncIterator]() {
    this.#last = -1;
    if (!this.messageId && (yield* this.#ask())) return;
    yield* this.#resume();
  }

  /** The parts in the response to the question. @returns {AsyncGenerator<Part, boolean>} whether they were all */
  async *#ask() {
    try {
      const call = { body: this.#question, signal: this.#signal, timeoutMs: 0 };
      const response = await this.#client.call('POST', '/api/chat/stream', call);
      this.messageId = response.headers.get('X-Message-Id') ?? '';
      for await (const { data } of readEvents(response)) {
        if (data === DONE) return true;
        const part = JSON.parse(data);
        if (this.#isNews(part)) yield part;
      }
    } catch (thrown) {
      this.#signal?.throwIfAborted();
      const error = asHttpError(thrown);
      if (!error.passing || !this.messageId) throw error;
    }
    if (!this.messageId) throw new HttpError(0, 'network', CUT_OFF);
    return false;
  }

  /** What follows the last piece. @returns {AsyncGenerator<Part>} */
  async *#resume() {
    this.#signal?.throwIfAborted();
    const how = lines(this.#client, { stream: 'reply', messageId: this.messageId }, this.#path(), {});
    const stream = new Stream(this.#client, how);
    if (this.#last >= 0) stream.position = String(this.#last);
    for await (const part of hear(stream, this.#signal)) {
      if (part === DONE) return;
      if (this.#isNews(part)) yield part;
    }
    this.#signal?.throwIfAborted();
    const { reason = '' } = stream.state;
    if (reason === 'complete') return;
    await how.poll(stream.position); // its refusal says more than the stream's
    throw new HttpError(0, reason, CUT_OFF);
  }

  /** Whether to yield a part; also learns from it which reply this is. @param {Part} part */
  #isNews({ type, index, messageId, conversationId }) {
    if (index !== undefined && index <= this.#last) return false;
    this.#last = index ?? this.#last;
    this.messageId ||= messageId ?? '';
    this.conversationId ??= conversationId;
    return type !== 'heartbeat' && type !== 'closing';
  }

  #path() {
    return `/api/chat/stream/${encodeURIComponent(this.messageId)}`;
  }
}

/** The data of a stream's events until it closes, as it does after too many breaks. @param {Stream} stream @param {AbortSignal} [signal] */
async function* hear(stream, signal) {
  const heard = new Queue();
  let breaks = 0;
  stream.addEventListener('event', (event) => {
    breaks = 0;
    heard.put(/** @type {CustomEvent} */ (event).detail.data);
  });
  stream.addEventListener('state', () => {
    if (stream.state.state === 'waiting' && (breaks += 1) > MOST_BREAKS) stream.close('network');
    if (stream.state.state === 'closed') heard.end();
  });
  const abort = () => stream.close('aborted');
  signal?.addEventListener('abort', abort);
  try {
    yield* heard;
  } finally {
    signal?.removeEventListener('abort', abort);
    stream.close();
  }
}
