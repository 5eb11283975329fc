import { backoff, Pause } from './clock.js';
import { asHttpError } from './http.js';
import { randomId, recall, remember } from './storage.js';

/**
 * A message on its way. `clientMessageId` makes sure that it arrives once.
 * @typedef {{clientMessageId: string, message: string, sentAt: number}} Draft
 */

/**
 * Sends messages one at a time, retrying each with the same clientMessageId while the failure may be
 * temporary: each arrives once, and in order. Waiting messages survive a reload of the tab.
 *
 * Fires `sent` {draft, answer}, `delayed` {draft, error, retryAt} and `failed` {draft, error} as `detail`.
 */
export class Outbox extends EventTarget {
  /** @type {Draft[]} */
  #queue;
  #running = false;
  #closed = false;
  #pause = new Pause();
  #notBefore = 0;
  #name;
  #send;
  #client;

  /**
   * @param {{storage: Storage | null, clock: import('./clock.js').Clock}} client
   * @param {{name: string, send: (draft: Draft) => Promise<any>}} options `name` tells the outboxes of a tab apart
   */
  constructor(client, { name, send }) {
    super();
    this.#client = client;
    this.#name = `outbox.${name}`;
    this.#send = send;
    this.#queue = recall(client.storage, this.#name) ?? [];
    queueMicrotask(() => this.#drain());
  }

  /** The messages on their way, oldest first. */
  get waiting() {
    return [...this.#queue];
  }

  /** @param {string} message @param {string} [clientMessageId] @returns {Draft} to be shown at once */
  add(message, clientMessageId = randomId()) {
    const draft = { clientMessageId, message, sentAt: this.#client.clock.now() };
    this.#queue.push(draft);
    this.#keep();
    this.#drain();
    return draft;
  }

  /** The connection is back: retries now, but not before the server's Retry-After. */
  hurry() {
    if (this.#client.clock.now() >= this.#notBefore) this.#pause.end();
  }

  /** Stops; waiting messages are kept for the next outbox of that name. */
  close() {
    this.#closed = true;
    this.#pause.end();
  }

  async #drain() {
    if (this.#running) return;
    this.#running = true;
    for (let tries = 0; this.#queue.length && !this.#closed; ) {
      const draft = this.#queue[0];
      try {
        const answer = await this.#send(draft);
        tries = 0;
        this.#done('sent', draft, { answer });
      } catch (thrown) {
        const error = asHttpError(thrown);
        if (this.#closed) break;
        if (error.passing) await this.#delay(draft, error, tries++);
        else this.#done('failed', draft, { error });
      }
    }
    this.#running = false;
  }

  /** @param {string} type @param {Draft} draft @param {object} more */
  #done(type, draft, more) {
    this.#queue.shift();
    this.#keep();
    this.#emit(type, { draft, ...more });
  }

  /** @param {Draft} draft @param {import('./http.js').HttpError} error @param {number} tries */
  async #delay(draft, error, tries) {
    const { clock } = this.#client;
    const ms = Math.max(error.retryAfterMs, backoff(clock, tries, 500));
    const retryAt = clock.now() + ms;
    this.#notBefore = error.retryAfterMs ? retryAt : 0;
    this.#emit('delayed', { draft, error, retryAt });
    await this.#pause.for(clock, ms);
  }

  /** @param {string} type @param {object} detail */
  #emit(type, detail) {
    if (!this.#closed) this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #keep() {
    remember(this.#client.storage, this.#name, this.#queue.length ? this.#queue : null);
  }
}
