import { CLOCK } from './clock.js';
import { Connection } from './connection.js';
import { asHttpError, request } from './http.js';
import { fetchEvents } from './line.js';

const COLLECT_MS = 50;
const BEAT_GAP_MS = 100;
const ROLL_MS = 5000;
const MOST_MISSED = 3; // roll calls that a tab may miss
const MOST_SUBSCRIPTIONS = 20; // per stream, set by the server

/**
 * One stream that a tab wants, as sent over the channel.
 * @typedef {import('./link.js').Wish & {key: string, tab: string, token: string | null, position: string}} Wish
 *
 * @typedef {{keys: Set<string>, sent: Map<string, string | null>, streamId: string,
 *   connection: Connection | null, state: import('./connection.js').LineState}} Shared
 *   one stream of the server: `sent` maps each requested key to the token it was requested with
 */

/**
 * While leading, carries the streams of all tabs over as few connections as the server allows;
 * otherwise only tracks what each tab wants and its positions, to take over at once.
 *
 * Each leader has a higher `term` than the one before; a leader that sees a higher one stops.
 */
export class Carrier {
  term = 0;
  leads = false;
  #ready = false;
  /** @type {Map<string, Wish>} */
  #wishes = new Map();
  /** @type {Map<string, number>} */
  #missed = new Map();
  /** @type {Set<Shared>} */
  #streams = new Set();
  #channel;
  #beatAt = 0;
  #cancelRoll = () => {};
  #watching = new AbortController();
  /** @type {Set<string>} */
  #watched = new Set();
  #options;

  /**
   * @param {{name: string, url: string, clock?: import('./clock.js').Clock, fetch?: import('./http.js').Fetch,
   *   limits?: {firstByteMs?: number, heldMs?: number}, locks?: LockManager, onDeposed?: () => void}} options
   *   `locks`: each tab holds the one named by `lockOf` for as long as it lives
   */
  constructor({ clock = CLOCK, ...options }) {
    this.clock = clock;
    this.#options = options;
    this.#channel = new BroadcastChannel(options.name);
    this.#channel.onmessage = ({ data }) => this.#onMessage(data);
  }

  /** Begins to carry, from the positions known here and those that tabs now report. */
  lead() {
    this.leads = true;
    this.#ready = false;
    const term = Math.max(this.term + 1, this.clock.now()) + this.clock.random();
    this.term = term;
    this.#beat();
    this.#post({ t: 'who' });
    // If the tabs' wishes are known already, do not wait: a hidden page's timers fire once a second.
    if (this.#wishes.size) this.#begin();
    else this.clock.after(COLLECT_MS, () => this.term === term && this.#begin());
  }

  #begin() {
    if (!this.leads) return;
    this.#ready = true;
    for (const key of this.#wishes.keys()) this.#carry(key);
    this.#roll();
  }

  /** Stops carrying; goes on tracking. */
  stop() {
    this.leads = false;
    this.#cancelRoll();
    this.#watching.abort();
    this.#watching = new AbortController();
    this.#watched.clear();
    for (const { connection } of this.#streams) connection?.close();
    this.#streams.clear();
  }

  close() {
    this.stop();
    this.#channel.close();
  }

  /** @param {any} said */
  #onMessage(said) {
    if (said.tab) this.#missed.set(said.tab, 0);
    if (said.term !== undefined) this.#follow(said);
    else if (said.t === 'sub') this.#wish(said);
    else if (said.t === 'unsub') this.#drop(said.key);
    else if (said.t === 'bye') this.#forget(said.tab);
    else if (this.leads && said.t === 'ping') this.#answer(said.poke);
    else if (this.leads && said.t === 'here') {
      // A tab that was silent for long, or is unknown to this leader, is asked to report everything.
      if (said.keys.some((/** @type {string} */ key) => !this.#wishes.has(key))) this.#post({ t: 'who' });
    }
  }

  /** Handles a leader's message. @param {any} said */
  #follow({ t, term, key, id }) {
    if (term < this.term) {
      if (this.leads && t === 'beat') this.#beat();
      return;
    }
    this.term = term;
    if (this.leads) {
      this.stop();
      this.#options.onDeposed?.();
    }
    const wish = this.#wishes.get(key);
    if (wish && t === 'event') wish.position = id ?? wish.position;
  }

  /** @param {Wish & {t: string}} said */
  #wish({ t, ...wish }) {
    const { key } = wish;
    const stream = this.#streamOf(key);
    // What is on its way to the tab counts as delivered; if it is lost, the tab notices by `prev`.
    const position = (stream && this.#wishes.get(key)?.position) || wish.position;
    this.#wishes.set(key, { ...wish, position });
    if (stream) this.#sendState(stream);
    else if (this.leads && this.#ready) this.#carry(key);
  }

  /** Forgets a tab when its lock is free, however it ended. @param {string} tab */
  #watch(tab) {
    const { locks, name } = this.#options;
    if (!locks || this.#watched.has(tab)) return;
    this.#watched.add(tab);
    const { signal } = this.#watching;
    locks.request(lockOf(name, tab), { signal }, () => this.#forget(tab)).catch(() => {}); // no longer the leader
  }

  /** @param {string} tab */
  #forget(tab) {
    this.#watched.delete(tab);
    for (const wish of [...this.#wishes.values()]) if (wish.tab === tab) this.#drop(wish.key);
    this.#missed.delete(tab);
  }

  /** @param {boolean} poke whether the network is known to be back */
  #answer(poke) {
    if (this.clock.now() - this.#beatAt >= BEAT_GAP_MS) this.#beat();
    for (const { connection } of this.#streams) {
      if (poke) connection?.poke();
      else connection?.tick();
    }
  }

  #beat() {
    this.#beatAt = this.clock.now();
    this.#post({ t: 'beat' });
  }

  /** Calls the roll and forgets tabs that missed too many: a crashed tab says no goodbye. */
  #roll() {
    for (const { tab } of [...this.#wishes.values()]) if (!this.#missed.has(tab)) this.#missed.set(tab, 0);
    for (const [tab, missed] of [...this.#missed]) {
      if (missed >= MOST_MISSED) this.#forget(tab);
      else this.#missed.set(tab, missed + 1);
    }
    this.#post({ t: 'roll' });
    this.#cancelRoll = this.clock.after(ROLL_MS, () => this.#roll());
  }

  /** @param {string} key */
  #carry(key) {
    this.#watch(/** @type {Wish} */ (this.#wishes.get(key)).tab);
    const stream = [...this.#streams].find(({ keys }) => keys.size < MOST_SUBSCRIPTIONS);
    if (!stream) return this.#open(key);
    stream.keys.add(key);
    if (stream.streamId) this.#add(stream, key);
    else this.#sendState(stream);
  }

  /** @param {string} key */
  #streamOf(key) {
    return [...this.#streams].find(({ keys }) => keys.has(key));
  }

  /** @param {string} key */
  #open(key) {
    /** @type {Shared} */
    const stream = { keys: new Set([key]), sent: new Map(), streamId: '', connection: null, state: { state: 'connecting' } };
    this.#streams.add(stream);
    // In a separate task, so that everything else requested by then goes into the first request.
    queueMicrotask(() => {
      if (!this.#streams.has(stream)) return;
      stream.connection = new Connection({
        ...this.#options.limits,
        clock: this.clock,
        open: (attempt) => this.#request(stream, attempt),
        onEvent: (event) => this.#receive(stream, event),
        onState: (state) => {
          stream.state = state;
          this.#sendState(stream);
        },
      });
    });
  }

  /** @param {Shared} stream @param {import('./connection.js').Attempt} attempt */
  #request(stream, attempt) {
    stream.streamId = '';
    stream.sent.clear();
    const body = { subscriptions: [...stream.keys].map((key) => this.#subscription(stream, key)) };
    /** @type {import('./http.js').Fetch} */
    const opened = async (...call) => {
      const response = await (this.#options.fetch ?? fetch)(...call);
      this.#opened(stream, response.headers.get('X-Stream-Id'));
      return response;
    };
    return fetchEvents(attempt, `${this.#options.url}/events`, { body, fetch: opened, clock: this.clock }, 'POST');
  }

  /** One subscription in the server's format. @param {Shared} stream @param {string} key */
  #subscription(stream, key) {
    const { tab, position, history, ...wish } = /** @type {Wish} */ (this.#wishes.get(key));
    stream.sent.set(key, wish.token);
    return { ...wish, ...(position ? { lastEventId: position } : { history }) };
  }

  /** @param {Shared} stream @param {import('./parser.js').ServerEvent} event */
  #receive(stream, { type, data, id, sub }) {
    const wish = this.#wishes.get(sub ?? '');
    if (!sub || !wish || !stream.keys.has(sub)) return; // the connection's own, or a dropped subscription's
    const prev = id === undefined ? undefined : wish.position;
    if (id !== undefined) wish.position = id;
    if (wish.stream === 'session' && type === 'message') { // its events have no names, and an `error` is the last
      const { type: name, code: reason, reconnect } = JSON.parse(data);
      if (name === 'error') [type, data] = ['closing', JSON.stringify({ reason, reconnect })];
    }
    this.#post({ t: 'event', key: sub, type, data, id, prev });
    if (type === 'refused' || type === 'closing') this.#remove(stream, sub);
  }

  /** @param {Shared} stream @param {string | null} streamId null in a response that is not a stream */
  #opened(stream, streamId) {
    stream.streamId = streamId ?? '';
    if (!streamId) return;
    for (const key of stream.keys) if (!stream.sent.has(key)) this.#add(stream, key);
    for (const [key, token] of stream.sent) if (!stream.keys.has(key)) this.#takeOff(stream, key, token);
  }

  /** @param {Shared} stream @param {string} key */
  #add(stream, key) {
    const body = { subscriptions: [this.#subscription(stream, key)] };
    this.#change(stream, 'POST', '', key, { body });
  }

  /** @param {string} key */
  #drop(key) {
    const stream = this.#streamOf(key);
    const token = this.#wishes.get(key)?.token ?? null; // the newest token of its tab
    if (stream) this.#remove(stream, key);
    this.#wishes.delete(key);
    if (stream?.streamId && stream.keys.size) this.#takeOff(stream, key, token);
  }

  /** Ends a subscription, as its own user. @param {Shared} stream @param {string} key @param {string | null} token */
  #takeOff(stream, key, token) {
    this.#change(stream, 'DELETE', `/${encodeURIComponent(key)}`, key, { token });
  }

  /** Removes a key from a stream, and ends a stream without keys. @param {Shared} stream @param {string} key */
  #remove(stream, key) {
    stream.keys.delete(key);
    this.#wishes.delete(key);
    if (!stream.keys.size) {
      stream.connection?.close();
      this.#streams.delete(stream);
    }
  }

  /**
   * Changes what a running stream carries; if that fails, the stream is reopened with what it should carry.
   * @param {Shared} stream
   * @param {string} method
   * @param {string} path
   * @param {string} key
   * @param {{body?: object, token?: string | null}} call
   */
  async #change(stream, method, path, key, call) {
    const { streamId } = stream;
    const url = `${this.#options.url}/api/streams/${encodeURIComponent(streamId)}/subscriptions${path}`;
    try {
      await request(method, url, { ...call, fetch: this.#options.fetch, clock: this.clock });
    } catch (thrown) {
      const { status, code, message, passing } = asHttpError(thrown);
      if (stream.streamId !== streamId || !this.#streams.has(stream)) return;
      if (method === 'DELETE' && [401, 404].includes(status)) return; // it has already ended, perhaps with its sign-in
      if (passing || status === 404 || !stream.keys.has(key)) stream.connection?.restart();
      else this.#receive(stream, { type: 'refused', data: JSON.stringify({ key, status, code, error: message }), lastEventId: '', sub: key });
    }
  }

  /** @param {Shared | undefined} stream */
  #sendState(stream) {
    if (stream) this.#post({ t: 'state', keys: [...stream.keys], state: stream.state });
  }

  /** @param {object} message */
  #post(message) {
    this.#channel.postMessage({ ...message, term: this.term });
  }
}

/** The name of a tab's lock. @param {string} name of the channel @param {string} tab */
export function lockOf(name, tab) {
  return `${name} ${tab}`;
}
