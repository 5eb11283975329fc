import { backoff, CLOCK, Pause } from './clock.js';
import { asHttpError, HttpError, request } from './http.js';
import { randomId, recall, remember, tabStorage } from './storage.js';

const KEY = 'session';
const MARGIN_MS = 90_000; // before the server's `token-expiring`, which comes 60 s before the end
const NEIGHBOURS_MS = 50;
const REFUSED_MS = 1000; // another tab may be changing the password: new tokens are on their way

/**
 * A source of access tokens. `token(refused)` returns one that stays valid for a while; given a token
 * that the server refused, a different one. Throws HttpError 401 when there is none.
 * @typedef {{token: (refused?: string) => Promise<string | null>}} TokenSource
 *
 * @typedef {{userId: string, username: string, role: string, guest?: boolean}} User `guest`: has no password
 * @typedef {{token: string, refreshToken: string, user: User, refreshAt: number, endsAt: number, family: string}} Kept
 *   times in milliseconds since 1970; `family` is the same in a tab and its copies
 */

/**
 * The user of this tab: tokens in its storage, so that a reload stays signed in. With sessionStorage
 * each tab may have its own user; `sign-ins.js` keeps accounts for all tabs. Tokens are refreshed
 * before they expire and when one is refused, by one request for all callers. Tabs copied from each
 * other share the new ones, since using a refresh token after its successor ends the sign-in.
 *
 * Fires `refreshed`, and `signed-out` when the server no longer accepts the refresh token or another
 * tab of this sign-in has signed out.
 */
export class Tokens extends EventTarget {
  /** @type {Kept | null} */
  #kept;
  /** @type {Promise<void> | null} */
  #refreshing = null;
  #failures = 0;
  #notBefore = 0;
  /** @type {Error | null} */
  #failure = null;
  #cancel = () => {};

  /**
   * @param {{url?: string, storage?: Storage | null, clock?: import('./clock.js').Clock,
   *   fetch?: import('./http.js').Fetch, channel?: BroadcastChannel | null}} [options]
   *   `channel` reaches the tabs that may share the sign-in
   */
  constructor({ url = '', storage = tabStorage(), clock = CLOCK, fetch, channel = null } = {}) {
    super();
    this.url = url;
    this.storage = storage;
    this.clock = clock;
    this.fetch = fetch;
    this.channel = channel;
    this.#kept = recall(storage, KEY);
    channel?.addEventListener('message', ({ data }) => this.#onMessage(data));
    this.#plan();
  }

  /** @returns {User | null} */
  get user() {
    return this.#kept?.user ?? null;
  }

  /** @param {string} username */
  enterAsGuest(username) {
    return this.enter('/api/auth/guest', { username });
  }

  /** @param {string} account email or name @param {string} password */
  signIn(account, password) {
    return this.enter('/api/signin', { [account.includes('@') ? 'email' : 'username']: account, password });
  }

  /** @param {string} username @param {string} email @param {string} password */
  signUp(username, email, password) {
    return this.enter('/api/signup', { username, email, password });
  }

  /** Forgets the tokens here, in the other tabs of this sign-in and, if it can be reached, on the server. */
  async signOut() {
    const kept = this.#kept;
    this.adopt(null);
    this.channel?.postMessage({ ended: kept?.family });
    if (kept) await this.#post('/api/auth/signout', {}, kept.token).catch(() => {});
  }

  /** Adopts another tab's sign-in, or signs out. @param {Kept | null} kept */
  adopt(kept) {
    this.#kept = kept;
    this.#failures = this.#notBefore = 0;
    remember(this.storage, KEY, kept);
    this.#plan();
    if (kept) this.dispatchEvent(new Event('refreshed'));
  }

  /**
   * Makes a call that signs the user in, and takes the tokens in its response.
   * @param {string} path
   * @param {object} body
   * @param {string} [token] the caller's, if needed: the other tabs of this sign-in then follow
   */
  async enter(path, body, token) {
    const family = (token && this.#kept?.family) || randomId();
    this.#take(await this.#post(path, body, token), family, path.endsWith('/guest'));
  }

  /** @param {string} [refused] @returns {Promise<string>} */
  async token(refused) {
    const { now } = this.clock;
    if (this.#kept && (this.#kept.token === refused || now() >= this.#kept.refreshAt)) {
      await this.refresh().catch((error) => {
        if (!this.#kept || this.#kept.token === refused || now() >= this.#kept.endsAt) throw error;
      });
    }
    if (!this.#kept) throw new HttpError(401, 'signed-out', 'Nobody is signed in.');
    return this.#kept.token;
  }

  /** Gets new tokens; concurrent calls share one request. @returns {Promise<void>} */
  refresh() {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #refresh() {
    const kept = this.#kept;
    if (!kept) throw new HttpError(401, 'signed-out', 'Nobody is signed in.');
    if (this.clock.now() < this.#notBefore) throw this.#failure;
    if (await this.#neighboursHaveNewer(kept)) return;
    try {
      const answer = await this.#post('/api/auth/refresh', { refreshToken: kept.refreshToken });
      if (this.#kept === kept) this.#take(answer, kept.family, kept.user.guest); // else another user signed in meanwhile
    } catch (thrown) {
      const error = asHttpError(thrown);
      if (!error.passing && (await this.#neighboursHaveNewer(kept, REFUSED_MS))) return;
      if (this.#kept === kept) this.#failed(error);
      throw error;
    }
  }

  /** @param {HttpError} error */
  #failed(error) {
    if (!error.passing) return this.#end();
    this.#failure = error;
    this.#notBefore = this.clock.now() + Math.max(error.retryAfterMs, backoff(this.clock, this.#failures++));
    this.#plan();
  }

  #end() {
    this.adopt(null);
    this.dispatchEvent(new Event('signed-out'));
  }

  /** @param {{token: string, refreshToken: string, expiresIn: number, user: User}} answer @param {string} family @param {boolean} [guest] */
  #take({ token, refreshToken, expiresIn, user }, family, guest) {
    const endsAt = this.clock.now() + expiresIn * 1000;
    const refreshAt = endsAt - Math.min(MARGIN_MS, expiresIn * 333);
    this.adopt({ token, refreshToken, user: { ...user, guest }, family, endsAt, refreshAt });
    this.channel?.postMessage({ kept: this.#kept });
  }

  #plan() {
    this.#cancel();
    if (!this.#kept) return;
    const wait = Math.max(this.#kept.refreshAt, this.#notBefore) - this.clock.now();
    this.#cancel = this.clock.after(Math.max(0, wait), () => {
      if (wait > 0) this.#plan();
      else this.refresh().catch(() => {}); // a temporary failure has scheduled the next attempt
    });
  }

  /**
   * Another tab of this sign-in may have refreshed while this one slept.
   * @param {Kept} kept @param {number} [ms] how long to wait for its message
   */
  async #neighboursHaveNewer(kept, ms = NEIGHBOURS_MS) {
    this.#onMessage({ kept: recall(this.storage, KEY) });
    if (this.channel && this.#kept === kept) {
      this.channel.postMessage({ kept });
      await new Pause().for(this.clock, ms);
    }
    return this.#kept !== kept;
  }

  /** A tab with newer tokens of this sign-in has sent them. @param {{kept?: Kept, ended?: string}} said */
  #onMessage({ kept, ended }) {
    const mine = this.#kept;
    if (ended && ended === mine?.family) this.#end();
    if (!mine || kept?.family !== mine.family) return;
    if (kept.endsAt > mine.endsAt) this.adopt(kept);
    else if (kept.endsAt < mine.endsAt) this.channel?.postMessage({ kept: mine });
  }

  /** @param {string} path @param {object} body @param {string} [token] */
  async #post(path, body, token) {
    const response = await request('POST', this.url + path, { body, token, fetch: this.fetch, clock: this.clock });
    return response.status === 204 ? null : response.json();
  }

  /** Stops the timer; not needed when the page goes away. */
  close() {
    this.#cancel();
  }
}
