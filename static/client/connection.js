import { backoff, CLOCK, Pause } from './clock.js';
import { asHttpError, HttpError } from './http.js';

const FIRST_BYTE_MS = 15_000;
const HELD_MS = 60_000;
const SILENT_HEARTBEATS = 2.5;
const HEARTBEAT_MS = 25_000; // unless the stream says otherwise
const POKE_GAP_MS = 1000;

/**
 * The state of a line. `connecting` and `open` explain themselves; `waiting` until `retryAt`
 * (ms since 1970), `polling` because the network holds streams back; `closed` for good. `reason` is
 * the server's slug, or one of `network`, `silent`, `held`, `ended`, `complete`, `signed-out`.
 * @typedef {{state: 'connecting' | 'open' | 'waiting' | 'polling' | 'closed', reason?: string,
 *   retryAt?: number, via?: string}} LineState
 *
 * @typedef {import('./parser.js').ServerEvent} ServerEvent
 *
 * @typedef {object} Attempt
 * @property {AbortSignal} signal ends it
 * @property {boolean} refused the server refused the last token
 * @property {(retry?: number | null) => void} heard call it for every piece that arrives
 */

/**
 * A stream that stays open: reopened after a drop, a silence or a temporary refusal; closed for good
 * by a permanent one. It never retries sooner than the server's `retry:` says, except once for an
 * expired token.
 */
export class Connection {
  #open;
  #onEvent;
  #onState;
  #clock;
  #firstByteMs;
  #heldMs;
  #aborter = new AbortController();
  #pause = new Pause();
  #cancelWatch = () => {};
  #ended = false;
  #again = false;
  #waiting = false;
  #notBefore = 0;
  #retryAt = 0;
  #renewedAt = -Infinity;
  #startedAt = 0;
  #heardAt = 0;
  #anyByte = false;
  #opened = false;
  #silenceMs = 0;
  #retryMs = 0;
  #failures = 0;
  #refusals = 0;
  /** @type {HttpError | null} */
  #end = null;

  /**
   * @param {{open: (attempt: Attempt) => AsyncIterable<ServerEvent>, onEvent: (event: ServerEvent) => void,
   *   onState: (state: LineState) => void, clock?: import('./clock.js').Clock, firstByteMs?: number, heldMs?: number}} options
   *   `open` throws HttpError when refused; `heldMs` is the pause after a stream that the network held back
   */
  constructor({ open, onEvent, onState, clock = CLOCK, firstByteMs = FIRST_BYTE_MS, heldMs = HELD_MS }) {
    this.#open = open;
    this.#onEvent = onEvent;
    this.#onState = onState;
    this.#clock = clock;
    this.#firstByteMs = firstByteMs;
    this.#heldMs = heldMs;
    this.#retryMs = 500 + 1000 * clock.random();
    this.#run();
  }

  /** Ends it; no callback is called after that. */
  close() {
    this.#ended = true;
    this.#aborter.abort();
    this.#cancelWatch();
    this.#pause.end();
  }

  /** Reopens the stream at once, for example after a change of what it carries. */
  restart() {
    this.#again = true;
    this.#aborter.abort();
    this.#pause.end();
  }

  /** The network or the page is back: retries now, unless the server set a time. */
  poke() {
    const now = this.#clock.now();
    if (!this.#waiting) this.#watch();
    else if (now >= this.#notBefore && now - this.#startedAt > POKE_GAP_MS) this.#pause.end();
  }

  /** Does what is due: a hidden page's timers fire late. */
  tick() {
    if (!this.#waiting) this.#watch();
    else if (this.#clock.now() >= this.#retryAt) this.#pause.end();
  }

  async #run() {
    while (!this.#ended) {
      this.#again = false;
      this.#onState({ state: 'connecting' });
      const end = await this.#attempt();
      this.#cancelWatch();
      if (this.#ended) return;
      const ms = this.#again ? 0 : this.#delay(end);
      if (ms === null) {
        this.#ended = true;
        this.#onState({ state: 'closed', reason: end.code });
      } else if (ms > 0) await this.#wait(ms, end);
    }
  }

  /** One stream from its request to its end. @returns {Promise<HttpError>} why it ended */
  async #attempt() {
    this.#aborter = new AbortController();
    this.#startedAt = this.#heardAt = this.#clock.now();
    this.#silenceMs = this.#firstByteMs;
    this.#anyByte = this.#opened = false;
    this.#end = null;
    this.#watch();
    try {
      const { signal } = this.#aborter;
      const events = this.#open({ signal, refused: this.#refusals > 0, heard: (retry) => this.#onBytes(retry) });
      for await (const event of events) {
        if (signal.aborted) break;
        this.#receive(event);
      }
    } catch (error) {
      this.#end ??= asHttpError(error);
    }
    return this.#end ?? new HttpError(0, 'ended');
  }

  /** @param {number | null} [retry] */
  #onBytes(retry) {
    this.#heardAt = this.#clock.now();
    if (!this.#anyByte) this.#silenceMs = HEARTBEAT_MS * SILENT_HEARTBEATS;
    this.#anyByte = true;
    if (retry != null) this.#retryMs = Math.max(100, retry);
  }

  /** @param {ServerEvent} event */
  #receive(event) {
    this.#onBytes();
    if (event.type === 'closing' && !event.sub) {
      this.#end = closed(JSON.parse(event.data));
    } else {
      if (event.type === 'system') this.#learn(JSON.parse(event.data));
      this.#failures = this.#refusals = 0;
      if (!this.#opened) this.#onState({ state: 'open', via: 'stream' });
      this.#opened = true;
    }
    this.#onEvent(event);
  }

  /** @param {{heartbeat?: number}} system seconds between heartbeats */
  #learn({ heartbeat }) {
    this.#silenceMs = heartbeat ? heartbeat * 1000 * SILENT_HEARTBEATS : Infinity;
  }

  /** Ends the attempt after too long a silence; otherwise checks again when that would be. */
  #watch() {
    this.#cancelWatch();
    const left = this.#heardAt + this.#silenceMs - this.#clock.now();
    if (left > 0) {
      this.#cancelWatch = left < Infinity ? this.#clock.after(left, () => this.#watch()) : () => {};
      return;
    }
    this.#end = new HttpError(0, this.#anyByte ? 'silent' : 'held');
    this.#aborter.abort();
  }

  /** Milliseconds until the next attempt; null for never. @param {HttpError} end */
  #delay(end) {
    if (end.status === 401 && this.#refusals++ < 1 && this.#firstInTenSeconds()) return 0;
    if (end.status && !end.passing && !(end.status === 401 && this.#refusals === 1)) return null;
    if (end.code === 'held') return this.#heldMs;
    const growing = this.#failures ? backoff(this.#clock, this.#failures, this.#retryMs) : 0;
    this.#failures += 1;
    return Math.max(end.retryAfterMs, this.#retryMs, growing);
  }

  /** Whether to replace a token without a pause; a stream that ends at once would make that a loop. */
  #firstInTenSeconds() {
    const before = this.#renewedAt;
    this.#renewedAt = this.#clock.now();
    return this.#renewedAt - before > 10_000;
  }

  /** @param {number} ms @param {HttpError} end */
  async #wait(ms, end) {
    const retryAt = (this.#retryAt = this.#clock.now() + ms);
    this.#notBefore = end.retryAfterMs ? retryAt : 0;
    this.#waiting = true;
    this.#onState({ state: 'waiting', reason: end.code, retryAt });
    await this.#pause.for(this.#clock, ms);
    this.#waiting = false;
  }
}

/**
 * The server's `closing` event as the HttpError that a response would give.
 * @param {{reason: string, reconnect: boolean}} closing
 */
export function closed({ reason, reconnect }) {
  const renewed = reason === 'token-expired' || reason === 'revoked';
  return new HttpError(renewed ? 401 : reconnect ? 503 : 410, reason);
}
