import { Chatrooms } from '../chatrooms.js';

/** @type {Map<string, Chatrooms>} */
const byUrl = new Map(); // one client per URL: all parts of a page share its sign-in and connection
/** @type {WeakMap<Chatrooms, Promise<void>>} */
const entering = new WeakMap();
/** @type {WeakMap<Chatrooms, Map<string, WeakRef<any>>>} */
const views = new WeakMap();

/** The client that the parts of a page share unless they are given one. @param {string} [url] */
export function pageClient(url = '') {
  let client = byUrl.get(url);
  if (!client) {
    client = new Chatrooms({ url });
    client.tokens = new TokensIfAny(client.account);
    byUrl.set(url, client);
  }
  return client;
}

/** The signed-in user's tokens; none if nobody is: a cookie may do, or guests may be allowed to read. */
class TokensIfAny extends EventTarget {
  #account;

  /** @param {import('../tokens.js').Tokens} account */
  constructor(account) {
    super();
    this.#account = account;
    account.addEventListener('refreshed', () => this.dispatchEvent(new Event('refreshed')));
  }

  /** @param {string} [refused] @returns {Promise<string | null>} */
  async token(refused) {
    return this.#account.user ? this.#account.token(refused) : null;
  }
}

/**
 * Signs in as a guest of that name, once for all callers, if nobody is signed in and the client has
 * no tokens from elsewhere.
 * @param {Chatrooms} client
 * @param {string} [username]
 */
export async function enteredAs(client, username) {
  const own = client.tokens === client.account || client.tokens instanceof TokensIfAny;
  if (!own || client.user || !username) return;
  let going = entering.get(client);
  if (!going) {
    going = client.account.enterAsGuest(username).finally(() => entering.delete(client));
    entering.set(client, going);
  }
  await going;
}

/**
 * The view of that name, the same for all callers while one of them keeps it.
 * @template {object} V
 * @param {Chatrooms} client
 * @param {string} name
 * @param {() => V} make
 * @returns {V}
 */
export function sharedView(client, name, make) {
  const known = views.get(client) ?? new Map();
  views.set(client, known);
  const view = known.get(name)?.deref() ?? make();
  known.set(name, new WeakRef(view));
  return view;
}
