import { backoff, CLOCK, Pause } from './clock.js';
import { asHttpError, request } from './http.js';
import { readEvents } from './parser.js';
import { recall, tabStorage } from './storage.js';
import { parsed } from './stream.js';

/**
 * A plain client of one event stream over fetch: any method, headers and body. It reconnects with the
 * last id, at most `maxReconnects` times in a row, after min(10 s, 1 s · 2^n) less up to half of it at
 * random; after a 401 it refreshes the token once and repeats the request.
 *
 * Besides the stream's events it emits `open`, `error` (an HttpError), `close` and
 * `max-reconnects-reached`. It never requests an AI reply twice: its stream ends with `close`.
 */
export class SSEClient {
  /** @type {Map<string, Set<(data: any, event?: import('./parser.js').ServerEvent) => void>>} */
  #callbacks = new Map();
  /** @type {AbortController | null} */
  #aborter = null;
  #pause = new Pause();
  #lastEventId = '';
  #tries = 0;
  #retryMs = 1000;
  #notBefore = 0;

  /**
   * @param {string} url
   * @param {{method?: string, headers?: HeadersInit, body?: any, maxReconnects?: number,
   *   clock?: import('./clock.js').Clock, fetch?: import('./http.js').Fetch}} [options]
   *   `body` is sent as JSON; a string is taken for JSON already
   */
  constructor(url, { method = 'GET', headers = {}, body, maxReconnects = 5, clock = CLOCK, fetch } = {}) {
    this.url = url;
    this.method = method;
    this.headers = headers;
    this.body = body;
    this.maxReconnects = maxReconnects;
    this.clock = clock;
    this.fetch = fetch;
  }

  /** The access token; override it. @returns {string | null | Promise<string | null>} */
  getToken() {
    return recall(tabStorage(), 'session')?.token ?? null;
  }

  /** Gets another token, which getToken returns from then on; override it. @returns {unknown} */
  refreshToken() {
    return null;
  }

  /**
   * @param {string} type
   * @param {(data: any, event?: import('./parser.js').ServerEvent) => void} callback gets the data, parsed if JSON
   * @returns {() => void} removes the callback
   */
  on(type, callback) {
    const callbacks = this.#callbacks.get(type) ?? new Set();
    this.#callbacks.set(type, callbacks.add(callback));
    return () => callbacks.delete(callback);
  }

  /** Opens the stream; resolves once it has ended for good. */
  async connect() {
    if (this.#aborter) return;
    const { signal } = (this.#aborter = new AbortController());
    this.#tries = 0;
    while (!signal.aborted && (await this.#stream(signal))) {
      if (this.#tries >= this.maxReconnects) {
        this.#emit('max-reconnects-reached', { reconnects: this.#tries });
        break;
      }
      await this.#pause.for(this.clock, Math.max(this.#notBefore, backoff(this.clock, this.#tries++, this.#retryMs)));
    }
    if (this.#aborter?.signal === signal) this.#aborter = null;
    this.#emit('close', null);
  }

  disconnect() {
    this.#aborter?.abort();
    this.#aborter = null;
    this.#pause.end();
  }

  /** One stream to its end. @param {AbortSignal} signal @returns {Promise<boolean>} whether to reconnect */
  async #stream(signal) {
    let comesBack = true;
    try {
      const response = await this.#request(signal);
      if (response.status === 204) return false;
      comesBack = !response.headers.has('X-Message-Id');
      this.#emit('open', null);
      for await (const event of readEvents(response, ({ retry }) => (this.#retryMs = retry ?? this.#retryMs))) {
        if (signal.aborted) return false;
        if (!this.#take(event)) return false;
      }
    } catch (thrown) {
      if (signal.aborted) return false;
      const error = asHttpError(thrown);
      this.#notBefore = error.retryAfterMs;
      this.#emit('error', error);
      return error.passing && comesBack;
    }
    return comesBack;
  }

  /** @param {import('./parser.js').ServerEvent} event @returns {boolean} whether more is to come */
  #take(event) {
    this.#tries = this.#notBefore = 0;
    this.#lastEventId = event.lastEventId;
    if (event.data === '[DONE]') return false;
    const data = parsed(event.data);
    this.#emit(event.type, data, event);
    return event.type !== 'closing' || data.reconnect !== false;
  }

  /** @param {AbortSignal} signal */
  async #request(signal) {
    try {
      return await this.#ask(signal);
    } catch (thrown) {
      if (asHttpError(thrown).status !== 401) throw thrown;
      await this.refreshToken();
      return this.#ask(signal);
    }
  }

  /** @param {AbortSignal} signal */
  async #ask(signal) {
    const token = await this.getToken();
    const headers = new Headers(this.headers);
    if (!headers.has('Accept')) headers.set('Accept', 'text/event-stream');
    if (typeof this.body === 'string' && !headers.has('Content-Type')) headers.set('Content-Type', 'application/json');
    if (this.#lastEventId) headers.set('Last-Event-ID', this.#lastEventId);
    const { method, url, body, clock, fetch } = this;
    return request(method, url, { headers, body, token, signal, clock, fetch, timeoutMs: 0 });
  }

  /** @param {string} type @param {any} data @param {import('./parser.js').ServerEvent} [event] */
  #emit(type, data, event) {
    for (const callback of [...(this.#callbacks.get(type) ?? [])]) callback(data, event);
  }
}
