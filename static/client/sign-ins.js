import { recall, remember } from './storage.js';

const SESSION = 'chatrooms.session';
const MOST_GUESTS = 5;

/** @typedef {import('./tokens.js').Kept} Kept */

/**
 * Storage for `Chatrooms` that keeps an account across tabs and restarts, and a guest in its tab. It
 * remembers the last few guests, so that a new tab can offer to continue as one of them. The first
 * account to sign in belongs to the browser; another one, signed in later, to its tab.
 *
 * Why localStorage and not a cookie: the browser also sends cookies with requests that other sites
 * cause, and to every host that shares the domain; and a script that could read the storage could act
 * through the cookie. The page allows no foreign scripts, and a stolen refresh token ends the sign-in.
 * @implements {Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>}
 */
export class SignIns {
  #tab = area('sessionStorage');
  #browser = area('localStorage');
  #aside = false;
  #family = '';

  /** The account of this browser, unless this tab has stepped aside from it. @returns {Kept | null} */
  get account() {
    const kept = recall(this.#browser, 'account');
    return !this.#aside && isKept(kept) ? kept : null;
  }

  /** Guests of this browser, the last one first. @returns {Kept[]} */
  get guests() {
    const kept = recall(this.#browser, 'guests');
    return Array.isArray(kept) ? kept.filter(isKept) : [];
  }

  /** Signs this tab out; the other tabs stay signed in. */
  stepAside() {
    this.#aside = true;
  }

  /** @param {string} name */
  getItem(name) {
    if (name !== SESSION) return this.#tab?.getItem(name) ?? null;
    const own = recall(this.#tab, 'session') ?? this.account;
    if (own) this.#family = own.family;
    return JSON.stringify(this.#newest(own));
  }

  /** @param {string} name @param {string} value */
  setItem(name, value) {
    if (name !== SESSION) return this.#tab?.setItem(name, value);
    const kept = JSON.parse(value);
    this.#aside = false;
    this.#family = kept.family;
    const isGuest = kept.user.guest ?? kept.user.userId.startsWith('guest-');
    this.#keepGuests(kept, isGuest);
    if (!isGuest && this.#keepAccount(kept)) remember(this.#tab, 'session', null);
    else this.#tab?.setItem(name, value);
  }

  /** @param {string} name */
  removeItem(name) {
    this.#tab?.removeItem(name);
    if (name !== SESSION || this.#aside) return;
    if (this.account?.family === this.#family) remember(this.#browser, 'account', null);
    this.#keepGuests({ family: this.#family }, false);
  }

  /** Takes newer tokens that other tabs of this sign-in stored while this one was away. @param {Kept | null} own */
  #newest(own) {
    const newer = (/** @type {Kept | null} */ kept) => own && kept?.family === own.family && kept.endsAt > own.endsAt;
    return [this.account, ...this.guests].find(newer) ?? own;
  }

  /** @param {Kept} kept @returns {boolean} whether it is in the browser's storage now */
  #keepAccount(kept) {
    const family = this.account?.family ?? kept.family;
    if (family === kept.family) remember(this.#browser, 'account', kept);
    return this.account?.token === kept.token;
  }

  /** Moves a guest to the front of those remembered, or removes it. @param {Pick<Kept, 'family'>} kept @param {boolean} isGuest */
  #keepGuests(kept, isGuest) {
    const others = this.guests.filter(({ family }) => family !== kept.family);
    const guests = isGuest ? [kept, ...others].slice(0, MOST_GUESTS) : others;
    remember(this.#browser, 'guests', guests.length ? guests : null);
  }
}

/** Whether a stored value is ours: other code of this origin may write there too. @param {any} kept @returns {boolean} */
function isKept(kept) {
  return [kept?.token, kept?.refreshToken, kept?.family, kept?.user?.userId, kept?.user?.username].every((part) => typeof part === 'string');
}

/** A storage of this page, or null where it is blocked. @param {'sessionStorage' | 'localStorage'} name @returns {Storage | null} */
export function area(name) {
  try {
    return globalThis[name] ?? null;
  } catch {
    return null;
  }
}
