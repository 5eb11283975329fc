import { backoff } from './clock.js';
import { closed } from './connection.js';
import { asHttpError, HttpError } from './http.js';
import { randomId } from './storage.js';
import { parsed } from './stream.js';

const REPLACED_MS = 5000; // two pages compete for one clientId: do not retry at once
const RENEW_GAP_MS = 10_000; // if tokens are refused more often, renewing does not help

/**
 * What a stream asks the server for, as POST /events takes it; `stream` names the family; absent for a room.
 * @typedef {{stream?: 'personal' | 'session' | 'notifications' | 'task' | 'reply', roomId?: string, username?: string,
 *   clientId?: string, history?: number, userId?: string, sessionId?: string, robotId?: string, taskId?: string,
 *   messageId?: string}} Wish
 */

/** A stream's line over the connection that tabs share. */
export class Link {
  #key = '';
  /** The newest token. @type {string | null | undefined} */
  #token;
  /** The token that the stream was opened with. @type {string | null | undefined} */
  #used;
  #failures = 0;
  #renewedAt = -Infinity;
  #opened = false;
  #closed = false;
  #cancel = () => {};
  /** @type {import('./stream.js').Line | null} */
  #alone = null;
  #tabs;
  #client;
  #stream;
  #wish;
  #openAlone;

  /**
   * @param {import('./tabs.js').Tabs} tabs
   * @param {import('./chatrooms.js').Chatrooms} client
   * @param {import('./stream.js').Stream} stream
   * @param {Wish} wish
   * @param {() => import('./stream.js').Line} openAlone for a server without shared connections
   */
  constructor(tabs, client, stream, wish, openAlone) {
    this.#tabs = tabs;
    this.#client = client;
    this.#stream = stream;
    this.#wish = wish;
    this.#openAlone = openAlone;
    this.#client.tokens.addEventListener?.('refreshed', this.#renewed);
    this.#begin(false);
  }

  close() {
    this.#closed = true;
    this.#client.tokens.removeEventListener?.('refreshed', this.#renewed);
    this.#end();
    this.#alone?.close();
  }

  poke() {
    (this.#alone ?? this.#tabs).poke();
  }

  /** @param {boolean} refused */
  again(refused) {
    if (this.#alone) this.#alone.again(refused);
    else this.#begin(refused);
  }

  /** Tells the other tabs what this one wants. */
  announce() {
    if (this.#token !== undefined) this.#post(this.#token);
  }

  #renewed = async () => {
    const key = this.#key;
    const token = await this.#client.tokens.token().catch(() => null);
    if (token && key === this.#key && this.#tabs.links.has(key)) this.#post(token);
  };

  /** Uses a new key each time, so that events of an earlier one are never taken for its own. @param {boolean} refused */
  async #begin(refused) {
    this.#end();
    this.#opened = false;
    const key = (this.#key = `${this.#tabs.id}.${randomId().slice(0, 8)}`);
    this.#stream.say({ state: 'connecting' });
    try {
      const token = await this.#client.tokens.token(refused ? (this.#used ?? undefined) : undefined);
      await this.#tabs.present;
      if (this.#closed || key !== this.#key) return;
      this.#used = token;
      this.#tabs.links.set(key, this);
      this.#post(token);
    } catch (error) {
      if (!this.#closed && key === this.#key) this.#fail(asHttpError(error), false);
    }
  }

  /** @param {string | null} token */
  #post(token) {
    this.#token = token;
    this.#tabs.post({ t: 'sub', key: this.#key, token, position: this.#stream.position, ...this.#wish });
  }

  #end() {
    this.#cancel();
    if (this.#tabs.links.delete(this.#key)) this.#tabs.post({ t: 'unsub', key: this.#key });
  }

  /** @param {import('./connection.js').LineState} state of the shared connection */
  say(state) {
    if (state.state === 'closed') this.#goAlone();
    else if (state.state !== 'open') this.#stream.say(state);
  }

  /** @param {import('./stream.js').Delivery} delivery */
  receive(delivery) {
    const { type } = delivery;
    const data = parsed(delivery.data);
    if (type === 'refused') {
      return this.#fail(new HttpError(data.status, data.code, data.error, (data.retryAfter ?? 0) * 1000), true);
    }
    if (type !== 'closing') {
      this.#failures = 0;
      this.#opened = true;
      this.#stream.say({ state: 'open', via: 'shared' });
    }
    this.#stream.receive(delivery);
    if (type !== 'closing' || this.#closed) return;
    if (data.reason === 'ended') this.#stream.say({ state: 'closed', reason: 'complete' });
    else this.#fail(closed(data), true);
  }

  /**
   * The server refused the subscription, or ended it.
   * @param {HttpError} error
   * @param {boolean} renewable whether another token may help
   */
  #fail(error, renewable) {
    this.#end();
    const { clock } = this.#client;
    const expired = renewable && error.status === 401;
    if (expired && clock.now() - this.#renewedAt > RENEW_GAP_MS) {
      this.#renewedAt = clock.now();
      this.#begin(true);
    } else if (error.passing || error.code === 'replaced-too-often' || (expired && this.#opened)) {
      const least = error.passing ? 0 : REPLACED_MS;
      const ms = Math.max(error.retryAfterMs, least, backoff(clock, this.#failures++));
      this.#cancel = clock.after(ms, () => this.#begin(expired));
      this.#stream.say({ state: 'waiting', reason: error.code, retryAt: clock.now() + ms });
    } else this.#stream.say({ state: 'closed', reason: error.code });
  }

  /** The server has no shared connections, or something in between blocks them. */
  #goAlone() {
    this.#end();
    this.#alone ??= this.#openAlone();
  }
}
