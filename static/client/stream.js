import { recall, remember } from './storage.js';

const RECENT = 2000;
const KEEP_MS = 250;

/**
 * What carries a stream's events: a connection of its own, or one that tabs share.
 * @typedef {{close: () => void, poke: () => void, again: (refused: boolean) => void}} Line
 *   `again` opens the stream anew from its position
 *
 * @typedef {{type: string, data: string, id?: string, prev?: string}} Delivery
 *   `prev` is the position that the carrier had before, where it tells
 * @typedef {import('./connection.js').LineState} LineState
 */

/**
 * One stream of events, whatever happens to what carries it. Each event is fired under its own name
 * and once more as `event`, with `detail` = its data, or {type, data, id}; durable ones once and in
 * order. `state` is fired with a LineState as `detail`.
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
  /** What polling says, while there is any. @type {LineState | null} */
  #polling = null;
  #cancelKeep = () => {};
  #client;
  #options;

  /**
   * @param {import('./chatrooms.js').Chatrooms} client
   * @param {{open: (stream: Stream) => Line, poll: (position: string) =>
   *   Promise<import('./poller.js').Page | null>, name?: string, last?: string[], unnamed?: boolean}} options
   *   `poll` asks for what follows a position; `name`: keeps the position under it over reloads; `last`: events
   *   after which the stream is complete; `unnamed`: the name stands in the data as `type`
   */
  constructor(client, options) {
    super();
    this.#client = client;
    this.#options = options;
    if (options.name) this.position = recall(client.storage, `position.${options.name}`) ?? '';
    client.streams.add(this);
    // Whoever asked for the stream listens first.
    queueMicrotask(() => this.state.state !== 'closed' && this.open());
  }

  /** Opens it, or opens it again after it was closed. */
  open() {
    if (this.#line) return;
    this.#client.streams.add(this);
    this.#line = this.#options.open(this);
  }

  /** Ends it; `open` takes it up again where it was. @param {string} [reason] */
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

  /** What the line says. @param {LineState} state */
  say(state) {
    if (state.state === 'open' || state.state === 'closed') this.#stopPolling();
    if (state.state === 'closed' && this.#line) return this.close(state.reason);
    if (state.reason === 'held') this.#poll(state);
    if (this.#polling) state = this.#polling;
    if (state.state === this.state.state && state.reason === this.state.reason && state.retryAt === this.state.retryAt) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent('state', { detail: state }));
  }

  /** What the line delivers. @param {Delivery} delivery */
  receive({ type, data, id, prev }) {
    if (!this.#line) return;
    const known = this.#recent.has(id);
    if (prev !== undefined && this.position && prev !== this.position && !known) {
      return this.#line.again(false); // the carrier is further than what came here
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

  /** Where to go on from here. @param {string} id */
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

  /** Writes down how far it is, now. */
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

  /** What reading by polls says of itself. @param {LineState} state */
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

/** JSON as its value, other text as it is. @param {string} text */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
