import { recall, remember } from './storage.js';

const RECENT = 2000;
const KEEP_MS = 250;

/**
 * What carries a stream's events: its own connection, or one that tabs share.
 * @typedef {{close: () => void, poke: () => void, again: (refused: boolean) => void}} Line
 *   `again` reopens the stream from its position
 *
 * @typedef {{type: string, data: string, id?: string, prev?: string}} Delivery
 *   `prev` is the carrier's position before this one, if known
 * @typedef {import('./connection.js').LineState} LineState
 */

/**
 * One stream of events, whatever happens to its carrier. Each event fires under its own name with its
 * data as `detail`, and once more as `event` with {type, data, id}; durable ones exactly once and in
 * order. `state` fires with a LineState as `detail`.
 */
export class Stream extends EventTarget {
  /** @type {LineState} */
  state = { state: 'connecting' };
  position = '';
  #recent = new Set();
  /** @type {Line | null} */
  #line = null;
  /** @type {import('./poller.js').Poller | null} */
  #poller = null;
  /** The state of polling, while it runs. @type {LineState | null} */
  #polling = null;
  #cancelKeep = () => {};
  #client;
  #options;

  /**
   * @param {import('./chatrooms.js').Chatrooms} client
   * @param {{open: (stream: Stream) => Line, poll: (position: string) =>
   *   Promise<import('./poller.js').Page | null>, name?: string, last?: string[], unnamed?: boolean}} options
   *   `poll` fetches what follows a position; `name`: keeps the position under it across reloads; `last`: events
   *   after which the stream is complete; `unnamed`: the name is `type` in the data
   */
  constructor(client, options) {
    super();
    this.#client = client;
    this.#options = options;
    if (options.name) this.position = recall(client.storage, `position.${options.name}`) ?? '';
    client.streams.add(this);
    // In a microtask, so that the caller can add listeners first.
    queueMicrotask(() => this.state.state !== 'closed' && this.open());
  }

  /** Opens it, or reopens it after `close`. */
  open() {
    if (this.#line) return;
    this.#client.streams.add(this);
    this.#line = this.#options.open(this);
  }

  /** Ends it; `open` resumes it where it was. @param {string} [reason] */
  close(reason = 'closed') {
    this.#client.streams.delete(this);
    const line = this.#line;
    this.#line = null;
    line?.close();
    this.#stopPolling();
    this.say({ state: 'closed', reason });
  }

  /** The page or the network is back. */
  poke() {
    this.#line?.poke();
  }

  /** Takes the line's state. @param {LineState} state */
  say(state) {
    if (state.state === 'open' || state.state === 'closed') this.#stopPolling();
    if (state.state === 'closed' && this.#line) return this.close(state.reason);
    if (state.reason === 'held') this.#poll(state);
    if (this.#polling) state = this.#polling;
    if (state.state === this.state.state && state.reason === this.state.reason && state.retryAt === this.state.retryAt) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent('state', { detail: state }));
  }

  /** Takes an event from the line. @param {Delivery} delivery */
  receive({ type, data, id, prev }) {
    if (!this.#line) return;
    const known = this.#recent.has(id);
    if (prev !== undefined && this.position && prev !== this.position && !known) {
      return this.#line.again(false); // the carrier is ahead of what arrived here
    }
    if (id !== undefined) this.reach(id);
    let content = parsed(data);
    if (this.#options.unnamed && type === 'message') {
      type = content.type;
      content = content.data ?? content;
    }
    if (!known || type === 'system') this.#emit(type, content, id);
  }

  /**
   * @param {string} type
   * @param {any} data
   * @param {string} [id]
   */
  #emit(type, data, id) {
    if (data?.sourceClientId === this.#client.clientId) return; // the echo of this page's own change
    this.dispatchEvent(new CustomEvent('event', { detail: { type, data, id } }));
    if (type !== 'event' && type !== 'state') this.dispatchEvent(new CustomEvent(type, { detail: data }));
    if (this.#options.last?.includes(type)) this.close('complete');
  }

  /** Sets the position to resume from. @param {string} id */
  reach(id) {
    this.#recent.add(id);
    if (this.#recent.size > RECENT) this.#recent.delete(this.#recent.values().next().value);
    if (id === this.position) return;
    this.position = id;
    const { storage, clock } = this.#client;
    if (!this.#options.name) return;
    this.#cancelKeep();
    this.#cancelKeep = clock.after(KEEP_MS, () => this.keep());
  }

  /** Stores the position now. */
  keep() {
    this.#cancelKeep();
    if (this.#options.name) remember(this.#client.storage, `position.${this.#options.name}`, this.position || null);
  }

  /** @param {LineState} state until the first answer */
  async #poll(state) {
    if (this.#polling) return;
    this.#polling = state;
    const { Poller } = await import('./poller.js');
    if (!this.#polling || this.#poller) return;
    this.#poller = new Poller(this, this.#client.clock, this.#options.poll);
  }

  /** Takes the state of polling. @param {LineState} state */
  sayPolled(state) {
    if (!this.#polling) return;
    this.#polling = state;
    this.say(state);
  }

  #stopPolling() {
    this.#polling = null;
    this.#poller?.stop();
    this.#poller = null;
  }
}

/** The value of JSON, any other text as it is. @param {string} text */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
