import { backoff, CLOCK } from './clock.js';
import { asHttpError, HttpError, request } from './http.js';
import { randomId, recall, remember, tabStorage } from './storage.js';

const KEY = 'session';
const MARGIN_MS = 90_000; // before the server's `token-expiring`, which comes 60 s before the end
const NEIGHBOURS_MS = 50;

/**
 * What hands out access tokens. `token(refused)` gives one that is good for a while; when it is
 * given a token that the server refused, another one. Throws HttpError 401 when there is none.
 * @typedef {{token: (refused?: string) => Promise<string | null>}} TokenSource
 *
 * @typedef {{userId: string, username: string, role: string}} User
 * @typedef {{token: string, refreshToken: string, user: User, refreshAt: number, endsAt: number, family: string}} Kept
 *   times in milliseconds since 1970; `family` is the same in all tabs that were copied from one
 */

/**
 * Who this tab is: tokens in sessionStorage, so that a reload stays signed in and each tab may be
 * somebody else. They are refreshed before they expire and when one is refused, by one request for
 * all who wait; tabs that were copied from each other tell each other the new ones, since a refresh
 * token that is used after its successor was ends the sign-in.
 *
 * Fires `refreshed`, and `signed-out` when the server takes the refresh token no more.
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
   *   `channel` reaches the tabs that may have the same sign-in
   */
  constructor({ url = '', storage = tabStorage(), clock = CLOCK, fetch, channel = null } = {}) {
    super();
    this.url = url;
    this.storage = storage;
    this.clock = clock;
    this.fetch = fetch;
    this.channel = channel;
    this.#kept = recall(storage, KEY);
    channel?.addEventListener('message', ({ data }) => this.#hear(data));
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

  /** Forgets the tokens here and, as far as it can be reached, on the server. */
  async signOut() {
    const token = this.#kept?.token;
    this.#keep(null);
    if (token) await this.#post('/api/auth/signout', {}, token).catch(() => {});
  }

  /**
   * Takes the tokens that a call answers with: any that signs somebody in.
   * @param {string} path
   * @param {object} body
   * @param {string} [token] who calls, where that matters
   */
  async enter(path, body, token) {
    this.#take(await this.#post(path, body, token), randomId());
  }

  /** @param {string} [refused] @returns {Promise<string>} */
  async token(refused) {
    const { now } = this.clock;
    if (this.#kept && (this.#kept.token === refused || now() >= this.#kept.refreshAt)) {
      await this.refresh().catch((error) => {
        const good = this.#kept && this.#kept.token !== refused && now() < this.#kept.endsAt;
        if (!good) throw error;
      });
    }
    if (!this.#kept) throw new HttpError(401, 'signed-out', 'Nobody is signed in.');
    return this.#kept.token;
  }

  /** Takes new tokens; calls at the same time share one request. @returns {Promise<void>} */
  refresh() {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #refresh() {
    const kept = this.#kept;
    if (!kept) throw new HttpError(401, 'signed-out', 'Nobody is signed in.');
    if (this.#failure && this.clock.now() < this.#notBefore) throw this.#failure;
    if (await this.#neighboursHaveNewer(kept)) return;
    try {
      const answer = await this.#post('/api/auth/refresh', { refreshToken: kept.refreshToken });
      if (this.#kept === kept) this.#take(answer, kept.family); // else somebody else signed in meanwhile
    } catch (thrown) {
      const error = asHttpError(thrown);
      if (this.#kept === kept) this.#failed(error);
      throw error;
    }
  }

  /** @param {HttpError} error */
  #failed(error) {
    if (!error.passing) {
      this.#keep(null);
      this.dispatchEvent(new Event('signed-out'));
      return;
    }
    const wait = Math.max(error.retryAfterMs, backoff(this.clock, this.#failures));
    this.#failures += 1;
    this.#failure = error;
    this.#notBefore = this.clock.now() + wait;
    this.#plan();
  }

  /** @param {{token: string, refreshToken: string, expiresIn: number, user: User}} answer @param {string} family */
  #take({ token, refreshToken, expiresIn, user }, family) {
    const life = expiresIn * 1000;
    const endsAt = this.clock.now() + life;
    this.#keep({ token, refreshToken, user, family, endsAt, refreshAt: endsAt - Math.min(MARGIN_MS, life / 3) });
    this.channel?.postMessage({ kept: this.#kept });
    this.dispatchEvent(new Event('refreshed'));
  }

  /** @param {Kept | null} kept */
  #keep(kept) {
    this.#kept = kept;
    this.#failures = this.#notBefore = 0;
    this.#failure = null;
    remember(this.storage, KEY, kept);
    this.#plan();
  }

  #plan() {
    this.#cancel();
    if (!this.#kept) return;
    const at = Math.max(this.#kept.refreshAt, this.#notBefore);
    this.#cancel = this.clock.after(Math.max(0, at - this.clock.now()), () => this.#due());
  }

  #due() {
    if (this.#kept && this.clock.now() < Math.max(this.#kept.refreshAt, this.#notBefore)) this.#plan();
    else this.refresh().catch(() => {}); // a failure that passes has planned the next try
  }

  /**
   * Another tab of this sign-in may have refreshed while this one slept.
   * @param {Kept} kept
   */
  async #neighboursHaveNewer(kept) {
    if (!this.channel) return false;
    this.channel.postMessage({ family: kept.family, than: kept.endsAt });
    await new Promise((resolve) => this.clock.after(NEIGHBOURS_MS, () => resolve(null)));
    return this.#kept !== kept;
  }

  /** @param {{kept?: Kept, family?: string, than?: number}} said */
  #hear({ kept, family, than = 0 }) {
    const mine = this.#kept;
    if (!mine) return;
    if (family === mine.family && mine.endsAt > than) this.channel?.postMessage({ kept: mine });
    if (kept?.family === mine.family && kept.endsAt > mine.endsAt) {
      this.#keep(kept);
      this.dispatchEvent(new Event('refreshed'));
    }
  }

  /** @param {string} path @param {object} body @param {string} [token] */
  async #post(path, body, token) {
    const response = await request('POST', this.url + path, { body, token, fetch: this.fetch, clock: this.clock });
    return response.status === 204 ? null : response.json();
  }

  /** Stops the timer; a page that goes away need not. */
  close() {
    this.#cancel();
  }
}
