import { asHttpError } from '../http.js';
import { roomPath } from '../room.js';
import { enteredAs } from './clients.js';
import { sentence } from './sentences.js';
import { Store } from './store.js';
import { Timeline } from './timeline.js';
import { Typists } from './typists.js';

const HISTORY = 50;
const TYPING_EVERY_MS = 2500; // the server tells it on once in two seconds

/**
 * @typedef {import('./timeline.js').Message} Message
 * @typedef {{userId: string, username: string, guest?: boolean}} Member `guest`: came in without a password
 *
 * @typedef {object} RoomState
 * @property {import('../connection.js').LineState['state']} state
 * @property {string} [reason] of `waiting`, `polling` and `closed`
 * @property {number} [retryAt] of `waiting`: milliseconds since 1970
 * @property {readonly Message[]} messages oldest first
 * @property {readonly Member[]} members
 * @property {number} onlineCount
 * @property {readonly string[]} typingUsers names of the others who type
 * @property {boolean} hasOlder whether `loadOlder` may find more
 * @property {Member | null} user who this is, once known
 * @property {boolean} degraded the server is without its database or bus
 * @property {string | null} error why it is closed, for a person
 */

/** @type {RoomState} */
const BEGINNING = {
  state: 'connecting', reason: undefined, retryAt: undefined, messages: [], members: [], onlineCount: 0,
  typingUsers: [], hasOlder: false, user: null, degraded: false, error: null,
};

/** A room as a page shows it. @extends {Store<RoomState>} */
export class RoomView extends Store {
  #client;
  #roomId;
  #username;
  #history;
  #timeline = new Timeline();
  #typists;
  /** @type {import('../room.js').Room | null} */
  #room = null;
  #aborter = new AbortController();
  /** Events that came while the messages were read anew. @type {(() => void)[] | null} */
  #held = null;
  #loading = false;
  /** As the server said; until then, what the number of messages suggests. @type {boolean | null} */
  #hasOlder = null;
  #typedAt = -Infinity;

  /**
   * @param {import('../chatrooms.js').Chatrooms} client
   * @param {string} roomId
   * @param {{username?: string, history?: number}} [options] `username`: who comes in as a guest when
   *   nobody is signed in, or the name of a token from elsewhere; `history`: messages to begin with
   */
  constructor(client, roomId, { username, history = HISTORY } = {}) {
    super(BEGINNING);
    this.#client = client;
    this.#roomId = roomId;
    this.#username = username;
    this.#history = history;
    this.#typists = new Typists(client.clock, (typingUsers) => this.change({ typingUsers }));
  }

  start() {
    this.#aborter = new AbortController();
    this.#timeline = new Timeline();
    this.#hasOlder = null;
    this.change(BEGINNING);
    this.#begin(this.#aborter.signal);
  }

  stop() {
    this.#aborter.abort();
    this.#room?.close();
    this.#room = null;
    this.#held = null;
    this.#typists.clear();
  }

  /** Says something, shown at once. @param {string} text @returns {string | null} its clientMessageId */
  send = (text) => {
    if (!this.#room || !text.trim()) return null;
    const draft = this.#room.send(text);
    this.#timeline.queue(draft, this.#name());
    this.#show();
    return draft.clientMessageId;
  };

  /** Sends a failed one again. @param {string} clientMessageId */
  retry = (clientMessageId) => {
    const message = this.#timeline.unqueue(clientMessageId);
    if (message) this.send(message.message);
  };

  /** Forgets a failed one. @param {string} clientMessageId */
  discard = (clientMessageId) => {
    this.#timeline.unqueue(clientMessageId);
    this.#show();
  };

  /** @param {string} id @param {string} text @throws {import('../http.js').HttpError} */
  edit = async (id, text) => {
    const message = await this.#call('PATCH', `/messages/${id}`, { message: text });
    this.#timeline.edit({ messageId: id, message: message.message, timestamp: message.editedAt });
    this.#show();
  };

  /** @param {string} id @throws {import('../http.js').HttpError} */
  remove = async (id) => {
    await this.#call('DELETE', `/messages/${id}`);
    this.#timeline.remove(id);
    this.#show();
  };

  /** To be called for each key: tells the others as often as they need to know. */
  typing = () => {
    const now = this.#client.clock.now();
    if (now - this.#typedAt < TYPING_EVERY_MS || this.#room?.state.state !== 'open') return;
    this.#typedAt = now;
    this.#room.typing().catch(() => {}); // a nicety
  };

  /** Puts older messages in front. @returns {Promise<void>} @throws {import('../http.js').HttpError} */
  loadOlder = async () => {
    const { signal } = this.#aborter;
    const room = this.#room;
    if (this.#loading || !room) return;
    this.#loading = true;
    const before = this.#timeline.oldestId;
    try {
      const { messages, hasMore } = await room.history({ before, limit: HISTORY });
      if (signal.aborted || this.#timeline.oldestId !== before) return; // in front of what is shown now they leave a hole
      this.#timeline.prepend(messages);
      this.#timeline.trimmed = false;
      this.#hasOlder = hasMore;
      this.#show();
    } finally {
      this.#loading = false;
    }
  };

  /** Opens it again after it was closed. */
  reconnect = () => {
    const { state, reason } = this.get();
    if (state !== 'closed' || this.#aborter.signal.aborted) return;
    if (this.#room && reason !== 'signed-out') this.#room.open();
    else {
      this.stop();
      this.start();
    }
  };

  /** @param {AbortSignal} signal */
  async #begin(signal) {
    this.change({ state: 'connecting', error: null });
    try {
      await enteredAs(this.#client, this.#username);
      if (!signal.aborted) this.#open(signal);
    } catch (thrown) {
      const { code, message } = asHttpError(thrown);
      if (!signal.aborted) this.change({ state: 'closed', reason: code, error: message });
    }
  }

  /** @param {AbortSignal} signal */
  #open(signal) {
    const { user } = this.#client;
    const room = this.#client.room(this.#roomId, { username: user?.username ?? this.#username, history: this.#history });
    this.#room = room;
    if (user) this.#know(user);
    for (const draft of room.outbox.waiting) this.#timeline.queue(draft, this.#name());
    for (const [type, heed] of Object.entries(this.#heeds)) {
      room.addEventListener(type, (event) => heed(/** @type {CustomEvent} */ (event).detail), { signal });
    }
    this.#show();
  }

  /** What each event of the room changes. @type {Record<string, (detail: any) => void>} */
  #heeds = {
    state: ({ state, reason, retryAt }) => {
      const error = state === 'closed' ? sentence(reason) : null;
      this.change({ state, reason, retryAt, error });
      if (state !== 'open') this.#typists.clear();
    },
    system: (system) => this.#onSystem(system),
    presence: ({ onlineCount, members }) => this.change({ onlineCount, ...(members && { members }) }),
    'user-joined': ({ userId, username, guest, onlineCount }) => {
      const member = { userId, username, ...(guest && { guest }) };
      const members = [...this.get().members.filter(otherThan(userId, username)), member];
      this.change({ members, onlineCount });
    },
    'user-left': ({ userId, username, onlineCount }) => {
      this.change({ members: this.get().members.filter(otherThan(userId, username)), onlineCount });
      this.#typists.remove(username);
    },
    'room-message': (message) => this.#onLog(() => {
      if (!this.#timeline.add(message)) return;
      this.#typists.remove(message.username);
      this.tell('message', message);
    }),
    'message-edited': (edit) => this.#onLog(() => this.#timeline.edit(edit)),
    'message-deleted': ({ messageId }) => this.#onLog(() => this.#timeline.remove(messageId)),
    'bot-chunk': (piece) => this.#onLog(() => this.#timeline.chunk(piece)),
    typing: ({ userId, username }) => {
      if (String(userId) !== this.#timeline.userId) this.#typists.add(username);
    },
    status: ({ degraded }) => this.change({ degraded }),
    sent: ({ draft, answer }) => this.#onQueued(draft, { state: 'sent', id: answer.id, timestamp: answer.timestamp }),
    delayed: ({ draft }) => this.#onQueued(draft, { state: 'waiting' }),
    failed: ({ draft, error }) => this.#onQueued(draft, { state: 'failed', error: error.message }),
  };

  /** @param {any} system */
  #onSystem({ userId, username, members, onlineCount, recovered }) {
    if (userId !== undefined) this.#know({ userId, username });
    if (members) this.change({ members, onlineCount, degraded: false });
    if (!recovered) this.#reload();
  }

  /**
   * The position was lost: what is shown is not joined to what comes. Where the messages cannot be
   * had, it begins with what comes, and `loadOlder` gives what was before.
   */
  async #reload() {
    const room = this.#room;
    if (!room) return;
    const held = (this.#held = /** @type {(() => void)[]} */ ([]));
    const page = await room.history({ limit: this.#history || HISTORY }).catch(() => ({ messages: [], hasMore: true }));
    if (this.#held !== held) return;
    this.#held = null;
    this.#timeline.reset(page.messages);
    this.#hasOlder = page.hasMore;
    for (const apply of held) apply();
    this.#show();
  }

  /** @param {() => void} apply a change of the messages */
  #onLog(apply) {
    if (this.#held) {
      this.#held.push(apply);
      return;
    }
    apply();
    this.#show();
  }

  /** @param {import('../outbox.js').Draft} draft @param {Partial<Message>} change */
  #onQueued({ clientMessageId }, change) {
    this.#timeline.changeQueued(clientMessageId, change);
    this.#show();
  }

  /** @param {Member} user */
  #know({ userId, username }) {
    this.#timeline.userId = String(userId);
    const known = this.get().user;
    if (known?.userId !== userId || known.username !== username) this.change({ user: { userId, username } });
  }

  #name() {
    return this.get().user?.username ?? this.#username ?? '';
  }

  #show() {
    const { messages } = this.#timeline;
    const hasOlder = this.#timeline.trimmed || (this.#hasOlder ?? messages.length >= this.#history);
    this.change({ messages, hasOlder });
  }

  /** @param {string} method @param {string} path @param {object} [body] */
  #call(method, path, body) {
    return this.#client.json(method, roomPath(this.#roomId) + path, { body });
  }
}

/** @param {string} userId @param {string} username a member is one (userId, username) */
function otherThan(userId, username) {
  return (/** @type {Member} */ member) => member.userId !== userId || member.username !== username;
}
