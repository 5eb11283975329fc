import { CLOCK } from './clock.js';
import { HttpError, request } from './http.js';
import { fetchEvents, lines } from './line.js';
import { Room, roomPath } from './room.js';
import { randomId, tabStorage } from './storage.js';
import { Stream } from './stream.js';
import { Tokens } from './tokens.js';

export { HttpError, roomPath };

/**
 * A chatrooms server, as seen by one user: its rooms, sessions, notifications, tasks and AI replies.
 * Fires `signed-out` when the sign-in has ended.
 */
export class Chatrooms extends EventTarget {
  /** All open streams. @type {Set<Stream>} */
  streams = new Set();
  /** New with each load: a duplicated tab has a copy of everything stored. */
  clientId = randomId();
  /** The tabs of this browser, if they share a connection. @type {Promise<import('./tabs.js').Tabs> | null} */
  tabs = null;
  #closing = new AbortController();

  /**
   * @param {object} [options]
   * @param {string} [options.url] of the server, without a trailing slash; '' is the page's own
   * @param {string} [options.token] a token from elsewhere, used as it is
   * @param {(refused?: string) => Promise<string | null> | string | null} [options.getToken] returns one; when given
   *   a refused one, returns another
   * @param {boolean} [options.share] whether this browser's tabs share one connection
   * @param {import('./line.js').Transport} [options.transport] how to read streams that are not shared
   * @param {Storage | null} [options.storage] keeps tokens, positions and unsent messages across reloads
   * @param {{firstByteMs?: number, heldMs?: number}} [options.limits] how long to wait for a stream's first
   *   byte before polling instead, and how long until streaming is tried again
   * @param {import('./clock.js').Clock} [options.clock]
   * @param {import('./http.js').Fetch} [options.fetch]
   */
  constructor({ url = '', token, getToken, share = true, storage = tabStorage(), limits = {}, clock = CLOCK, transport = fetchEvents, fetch } = {}) {
    super();
    this.url = url;
    this.storage = storage;
    this.limits = limits;
    this.transport = transport;
    this.clock = clock;
    this.fetch = fetch;
    const channel = canShare() ? new BroadcastChannel(`chatrooms-tokens ${url}`) : null;
    const given = getToken ?? (token === undefined ? null : () => token);
    /** The sign-in kept in this tab; empty when tokens come from elsewhere. */
    this.account = new Tokens({ url, clock, fetch, channel, storage: given ? null : storage });
    /** @type {import('./tokens.js').TokenSource & Partial<EventTarget>} */
    this.tokens = given ? { token: (refused) => giveToken(given, refused) } : this.account;
    this.account.addEventListener('signed-out', () => this.#signedOut());
    this.account.addEventListener('refreshed', () => this.#each((stream) => stream instanceof Room && stream.extend()));
    if (share && canShare()) this.tabs = import('./tabs.js').then(({ Tabs }) => new Tabs(this));
    const { signal } = this.#closing;
    const wake = () => globalThis.document?.hidden || this.#each((stream) => stream.poke());
    for (const type of ['online', 'pageshow']) globalThis.addEventListener?.(type, wake, { signal });
    globalThis.document?.addEventListener('visibilitychange', wake, { signal });
    globalThis.addEventListener?.('pagehide', () => this.#each((stream) => stream.keep()), { signal });
  }

  /** The signed-in user. */
  get user() {
    return this.account.user;
  }

  /** @param {string} roomId @param {ConstructorParameters<typeof Room>[2]} [options] */
  room(roomId, options) {
    return new Room(this, roomId, options);
  }

  /** All joined rooms, and notifications, in one stream. @param {{resume?: boolean}} [options] */
  personal({ resume = true } = {}) {
    return this.#stream('personal', '/events', {}, { name: resume ? `me.${this.user?.userId}` : undefined });
  }

  /**
   * The messages of a session, as `message`; without sessionId, those of all sessions.
   * @param {string} [sessionId] @param {{robotId?: string, resume?: boolean}} [options]
   */
  session(sessionId, { robotId, resume = true } = {}) {
    const name = resume ? `session.${sessionId}.${robotId}.${this.user?.userId}` : undefined;
    return this.#stream('session', '/api/sse/messages', { sessionId, robotId }, { name, unnamed: true });
  }

  /** @param {{sessionId: string, content: string, [field: string]: unknown}} message @returns {Promise<any>} */
  async sendToSession(message) {
    return (await this.json('POST', '/api/messages', { body: message })).data;
  }

  /**
   * A user's notifications, fired by type.
   * @param {string} [userId] @param {{sessionId?: string, resume?: boolean}} [options]
   */
  notifications(userId = this.user?.userId ?? '', { sessionId, resume = true } = {}) {
    const name = resume ? `notifications.${userId}.${sessionId}` : undefined;
    const path = `/api/clients/${encodeURIComponent(userId)}/sse`;
    return this.#stream('notifications', path, { userId, sessionId }, { name }, { session_id: sessionId });
  }

  /** `progress` of a task, then `complete` or `error`; then it closes. @param {string} taskId */
  watchTask(taskId) {
    const path = `/api/v1/sse/tasks/${encodeURIComponent(taskId)}/progress`;
    return this.#stream('task', path, { taskId }, { last: ['complete', 'error'] }, {});
  }

  /**
   * Asks the assistant.
   * @param {{message?: string, messageId?: string, conversationId?: string,
   *   history?: {role: string, content: string}[], [field: string]: unknown}} question
   *   with only `messageId`, reads an existing reply
   * @param {{signal?: AbortSignal}} [options]
   */
  async streamReply(question, { signal } = {}) {
    const { Reply } = await import('./reply.js');
    return new Reply(this, question, signal);
  }

  /** One call as this user; returns the response's JSON. @param {string} method @param {string} path @param {import('./http.js').Call} [call] @returns {Promise<any>} */
  async json(method, path, call) {
    const response = await this.call(method, path, call);
    return response.status === 204 ? null : response.json();
  }

  /**
   * One call as this user; a refused token is replaced once.
   * @param {string} method
   * @param {string} path
   * @param {import('./http.js').Call} [call]
   * @throws {HttpError}
   */
  async call(method, path, call = {}) {
    const token = await this.tokens.token();
    /** @param {string | null} token */
    const ask = (token) => request(method, this.url + path, { ...call, token, fetch: this.fetch, clock: this.clock });
    try {
      return await ask(token);
    } catch (error) {
      const refused = error instanceof HttpError && error.status === 401 && error.code !== 'credentials-invalid';
      if (!refused || !token) throw error;
      return ask(await this.tokens.token(token));
    }
  }

  /** Ends everything. */
  close() {
    this.#each((stream) => stream.close());
    this.account.close();
    this.tabs?.then((tabs) => tabs.close());
    this.#closing.abort();
  }

  /**
   * @param {import('./link.js').Wish['stream']} stream its family
   * @param {string} path of the stream on its own
   * @param {import('./link.js').Wish} wish
   * @param {{name?: string, last?: string[], unnamed?: boolean}} options
   * @param {Record<string, unknown>} [values] the query of the path, if other than `wish`
   */
  #stream(stream, path, wish, options, values = wish) {
    return new Stream(this, { ...options, ...lines(this, { stream, ...wish }, path, values) });
  }

  #signedOut() {
    this.#each((stream) => stream.close('signed-out'));
    this.dispatchEvent(new Event('signed-out'));
  }

  /** @param {(stream: Stream) => void} act */
  #each(act) {
    for (const stream of [...this.streams]) act(stream);
  }
}

/** Whether this browser's tabs can share a connection. */
function canShare() {
  const { document, BroadcastChannel, SharedWorker, navigator } = globalThis;
  return Boolean(document && BroadcastChannel && (navigator.locks || SharedWorker));
}

/**
 * @param {(refused?: string) => Promise<string | null> | string | null} give
 * @param {string} [refused]
 */
async function giveToken(give, refused) {
  const token = await give(refused);
  if (refused !== undefined && token === refused) throw new HttpError(401, 'signed-out', 'Nobody is signed in.');
  return token;
}
