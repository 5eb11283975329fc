import { recall, remember } from './storage.js';

const SESSION = 'chatrooms.session';
const MOST_GUESTS = 5;

/** @typedef {import('./tokens.js').Kept} Kept */

/**
 * Storage for `Chatrooms` that keeps an account over tabs and restarts, and a guest in its tab. Of
 * guests the last few are remembered, so that a new tab can offer to go on as one of them. The
 * account that was there first is the browser's; another one, signed in meanwhile, is its tab's.
 *
 * Why localStorage and no cookie: a cookie goes along with what other sites make the browser ask
 * for, and to be read by all who share the domain; and scripts that could read the one could act by
 * the other. The page lets no foreign script in, and a stolen refresh token ends the sign-in.
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

  /** From now on this tab is nobody, while the others stay who they are. */
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

  /** Tabs of one sign-in may have gone on while this one was away. @param {Kept | null} own */
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

  /** Puts a guest first among those remembered, or takes it off. @param {Pick<Kept, 'family'>} kept @param {boolean} isGuest */
  #keepGuests(kept, isGuest) {
    const others = this.guests.filter(({ family }) => family !== kept.family);
    const guests = isGuest ? [kept, ...others].slice(0, MOST_GUESTS) : others;
    remember(this.#browser, 'guests', guests.length ? guests : null);
  }
}

/** What others of this origin write there is theirs. @param {any} kept @returns {boolean} */
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
