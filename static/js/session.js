import { ApiError, request } from './http.js';
import { recall, remember } from './storage.js';

const KEY = 'session';
const MARGIN_MS = 30_000;

/**
 * Who this tab is. Tokens live in sessionStorage: a reload stays signed in, and each tab may be
 * somebody else. Fires `signed-out` when the server no longer takes the refresh token.
 */
export class Session extends EventTarget {
  #tokens = recall(globalThis.sessionStorage, KEY);
  #refreshing = null;
  #changing = null;

  /** @returns {{userId: string, username: string, role: string} | null} */
  get user() {
    return this.#tokens?.user ?? null;
  }

  /** @param {string} username */
  async enterAsGuest(username) {
    await this.#enter('/api/auth/guest', { username });
  }

  /** @param {string} account email or name @param {string} password */
  async signIn(account, password) {
    const who = account.includes('@') ? { email: account } : { username: account };
    await this.#enter('/api/signin', { ...who, password });
  }

  /** @param {string} username @param {string} email @param {string} password */
  async signUp(username, email, password) {
    await this.#enter('/api/signup', { username, email, password });
  }

  /** Forgets the tokens here and, as far as it can be reached, on the server. */
  async signOut() {
    const token = this.#tokens?.token;
    this.#keep(null);
    if (token) await request('POST', '/api/auth/signout', { body: {}, token }).catch(() => {});
  }

  /** The user's own account, or a name that it goes by for this sitting. */
  get isGuest() {
    return String(this.user?.userId).startsWith('guest-');
  }

  /** The server then ends every other sign-in of the account, and gives this one new tokens. */
  async changePassword(currentPassword, newPassword) {
    const token = await this.token();
    const changing = this.#enter('/api/auth/password', { currentPassword, newPassword }, token);
    this.#changing = changing.catch(() => {}).finally(() => { this.#changing = null; });
    await changing;
  }

  /** @param {string} password */
  async deleteAccount(password) {
    await request('DELETE', '/api/auth/me', { body: { password }, token: await this.token() });
    this.#keep(null);
  }

  /**
   * Whether there is another token, now that the server has ended the sign-in of this one; fires
   * `signed-out` when there is none.
   * @param {string} token
   */
  async outlived(token) {
    await this.#changing;
    if (this.#tokens && this.#tokens.token !== token) return true;
    if (this.#tokens) this.#end();
    return false;
  }

  /**
   * An access token that is good for a while, refreshed first when it is about to expire.
   * @returns {Promise<string>}
   * @throws {ApiError} 401 when nobody is signed in or the session has ended
   */
  async token() {
    await this.#changing;
    if (!this.#tokens) throw new ApiError(401, 'signed-out', 'Your session has ended.');
    if (Date.now() > this.#tokens.refreshAt) await this.refresh();
    return this.#tokens.token;
  }

  /** Takes new tokens; calls at the same time share one request. */
  refresh() {
    this.#refreshing ??= this.#refresh().finally(() => { this.#refreshing = null; });
    return this.#refreshing;
  }

  async #refresh() {
    const before = this.#tokens;
    await this.#changing;
    if (this.#tokens !== before) return;
    try {
      await this.#enter('/api/auth/refresh', { refreshToken: this.#tokens?.refreshToken });
    } catch (error) {
      if (!error.passing) this.#end();
      throw error;
    }
  }

  async #enter(path, body, bearer = undefined) {
    const response = await request('POST', path, { body, token: bearer });
    const { token, refreshToken, expiresIn, user } = await response.json();
    const lifeMs = expiresIn * 1000;
    const refreshAt = Date.now() + lifeMs - Math.min(MARGIN_MS, lifeMs / 3);
    this.#keep({ token, refreshToken, refreshAt, user });
  }

  #end() {
    this.#keep(null);
    this.dispatchEvent(new Event('signed-out'));
  }

  #keep(tokens) {
    this.#tokens = tokens;
    remember(globalThis.sessionStorage, KEY, tokens);
  }
}
