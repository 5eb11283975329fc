import { backoff } from './backoff.js';

const EVENTS = [
  'system', 'user-joined', 'user-left', 'room-message', 'message-edited', 'message-deleted',
  'typing', 'presence', 'status', 'heartbeat', 'token-expiring', 'bot-chunk', 'closing',
];
const HISTORY = 50;
const CHECK_MS = 1000;
const SILENT_HEARTBEATS = 2.5;
const FIRST_EVENT_MS = 20_000;
const REOPEN_GAP_MS = 1000;

/**
 * A room's event stream that stays open: the browser's EventSource reconnects after a drop, and
 * this opens a new one where the last left off when the browser gives up, the line falls silent or
 * the token in the address is too old.
 *
 * Fires `event` with `detail` {type, data} and `state` with `detail` {name, retryAt?, reason?};
 * names are connecting, live, reconnecting, offline, stopped.
 */
export class RoomStream extends EventTarget {
  #token;
  #check;
  #outlived;
  #used = '';
  #query;
  #source = null;
  #opening = 0;
  #openedAt = 0;
  #heardAt = 0;
  #silenceMs = FIRST_EVENT_MS;
  #lastEventId = '';
  #attempt = 0;
  #errors = 0;
  #timer = null;
  #stopped = false;

  /**
   * @param {{query: Record<string, string>, token: () => Promise<string>,
   *   check: () => Promise<unknown>, outlived: (token: string) => Promise<boolean>, signal: AbortSignal}} options
   *   `check` throws the reason why the server would refuse this stream; `outlived` says whether
   *   there is another token after the server ended this one's sign-in; `signal` ends everything
   */
  constructor({ query, token, check, outlived, signal }) {
    super();
    this.#query = query;
    this.#token = token;
    this.#check = check;
    this.#outlived = outlived;
    const wake = () => this.#wake();
    globalThis.addEventListener('online', wake, { signal });
    globalThis.addEventListener('pageshow', wake, { signal });
    document.addEventListener('visibilitychange', () => document.hidden || wake(), { signal });
    const watchdog = setInterval(() => this.#watch(), CHECK_MS);
    signal.addEventListener('abort', () => {
      clearInterval(watchdog);
      this.#halt();
    });
  }

  /** Opens it, or opens it again after a stop. */
  async open() {
    this.#halt();
    this.#stopped = false;
    const opening = this.#opening;
    this.#openedAt = this.#heardAt = Date.now();
    this.#silenceMs = FIRST_EVENT_MS;
    this.#tell(this.#lastEventId ? 'reconnecting' : 'connecting');
    try {
      const token = await this.#token();
      if (opening === this.#opening) this.#connect(token);
    } catch (error) {
      if (opening === this.#opening) this.#refused(error);
    }
  }

  #connect(token) {
    this.#used = token;
    const query = new URLSearchParams({ ...this.#query, token, history: HISTORY });
    if (this.#lastEventId) query.set('lastEventId', this.#lastEventId);
    const source = new EventSource(`/events?${query}`);
    this.#source = source;
    for (const type of EVENTS) {
      source.addEventListener(type, (event) => source === this.#source && this.#receive(event));
    }
    source.onerror = () => source === this.#source && this.#onError();
  }

  #receive(event) {
    this.#heardAt = Date.now();
    this.#errors = 0;
    if (event.lastEventId) this.#lastEventId = event.lastEventId;
    const { type } = event;
    const data = JSON.parse(event.data);
    if (type === 'system') this.#onSystem(data);
    this.dispatchEvent(new CustomEvent('event', { detail: { type, data } }));
    if (type === 'closing') this.#onClosing(data);
  }

  #onSystem({ heartbeat }) {
    this.#attempt = 0;
    this.#silenceMs = heartbeat ? heartbeat * 1000 * SILENT_HEARTBEATS : Infinity;
    this.#tell('live');
  }

  #onClosing({ reason, reconnect }) {
    if (reason === 'revoked') this.#onRevoked();
    else if (!reconnect) this.#stop(reason);
    else if (reason === 'token-expired') this.open();
  }

  async #onRevoked() {
    this.#stop('revoked');
    const opening = this.#opening;
    if (await this.#outlived(this.#used) && opening === this.#opening) this.open();
  }

  async #onError() {
    this.#errors += 1;
    const gaveUp = this.#source.readyState === EventSource.CLOSED;
    if (!gaveUp && this.#errors < 2) {
      this.#tell('reconnecting');
      return;
    }
    this.#halt();
    const opening = this.#opening;
    const refusal = gaveUp ? await this.#check().then(() => null, (error) => error) : null;
    if (opening === this.#opening) this.#refused(refusal);
  }

  #refused(error) {
    if (error && [401, 403].includes(error.status)) this.#stop(error.status === 401 ? 'signed-out' : error.code);
    else this.#retry(error?.retryAfterMs);
  }

  #retry(atLeastMs) {
    this.#halt();
    const delay = backoff(this.#attempt, atLeastMs);
    this.#attempt += 1;
    this.#timer = setTimeout(() => this.open(), delay);
    this.#tell('reconnecting', { retryAt: Date.now() + delay });
  }

  #watch() {
    if (this.#source && Date.now() - this.#heardAt > this.#silenceMs) this.#retry();
  }

  #wake() {
    const idle = this.#timer !== null || this.#source?.readyState === EventSource.CONNECTING;
    if (!this.#stopped && idle && Date.now() - this.#openedAt > REOPEN_GAP_MS) this.open();
    else this.#watch();
  }

  #stop(reason) {
    this.#halt();
    this.#stopped = true;
    this.#tell('stopped', { reason });
  }

  /** Also outdates an opening that still waits for its token. */
  #halt() {
    this.#opening += 1;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#source?.close();
    this.#source = null;
  }

  #tell(name, more = {}) {
    const offline = name === 'reconnecting' && !navigator.onLine;
    this.dispatchEvent(new CustomEvent('state', { detail: { name: offline ? 'offline' : name, ...more } }));
  }
}
