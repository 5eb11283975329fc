import { backoff } from './backoff.js';
import { recall, remember } from './storage.js';

const MOST_TRIES = 20;

/**
 * Sends one message after the other, each again with the same clientMessageId while the trouble
 * may pass, so that it arrives once and in order. What waits survives a reload of the tab.
 */
export class Outbox {
  #send;
  #onSent;
  #onFailed;
  #onDelayed;
  #name;
  #queue;
  #running = false;
  #wake = null;
  #closed = false;

  /**
   * @param {{name: string, send: (item: object) => Promise<object>, onSent: (item: object, answer: object) => void,
   *   onFailed: (item: object, error: Error) => void, onDelayed: (error: Error) => void, signal: AbortSignal}} options
   *   `name` tells the outboxes of one tab apart
   */
  constructor({ name, send, onSent, onFailed, onDelayed, signal }) {
    this.#name = `outbox.${name}`;
    this.#queue = recall(globalThis.sessionStorage, this.#name) ?? [];
    this.#send = send;
    this.#onSent = onSent;
    this.#onFailed = onFailed;
    this.#onDelayed = onDelayed;
    globalThis.addEventListener('online', () => this.hurry(), { signal });
    signal.addEventListener('abort', () => this.#close());
  }

  /** @param {{clientMessageId: string, message: string}} item */
  add(item) {
    this.#queue.push(item);
    this.#keep();
    this.#drain();
  }

  /** What waited when the page was left, now on its way again. @returns {object[]} */
  resume() {
    this.#drain();
    return [...this.#queue];
  }

  /** Ends a wait between two tries: the way to the server is open again. */
  hurry() {
    this.#wake?.();
  }

  #close() {
    this.#closed = true;
    this.#queue = [];
    this.hurry();
  }

  async #drain() {
    if (this.#running) return;
    this.#running = true;
    let tries = 0;
    while (this.#queue.length && !this.#closed) {
      const failure = await this.#deliver(this.#queue[0]);
      if (!failure) tries = 0;
      else if (!failure.passing) this.#fail(1, failure);
      else if (++tries >= MOST_TRIES) this.#fail(this.#queue.length, failure);
      else await this.#delay(failure, tries - 1);
    }
    this.#running = false;
  }

  async #deliver(item) {
    try {
      const answer = await this.#send(item);
      if (this.#closed) return null;
      this.#queue.shift();
      this.#keep();
      this.#onSent(item, answer);
      return null;
    } catch (error) {
      return error;
    }
  }

  #delay(failure, attempt) {
    this.#onDelayed(failure);
    return this.#pause(backoff(attempt, failure.retryAfterMs));
  }

  #fail(count, error) {
    const failed = this.#queue.splice(0, count);
    this.#keep();
    for (const item of failed) this.#onFailed(item, error);
  }

  #keep() {
    remember(globalThis.sessionStorage, this.#name, this.#queue.length ? this.#queue : null);
  }

  #pause(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
