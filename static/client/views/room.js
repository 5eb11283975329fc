import { asHttpError } from '../http.js';
import { roomPath } from '../room.js';
import { enteredAs } from './clients.js';
import { joined, left } from './members.js';
import { Rights } from './rights.js';
import { RoomLog } from './room-log.js';
import { BEGINNING } from './room-state.js';
import { roomSentence } from './sentences.js';
import { Store } from './store.js';
import { Typists } from './typists.js';

const HISTORY = 50;
const TYPING_EVERY_MS = 2500; // the server passes it on once in two seconds
const RENEWED = 'renewed'; // left only to rejoin as the current user

/**
 * @typedef {import('./members.js').Member} Member
 * @typedef {import('./room-state.js').RoomState} RoomState
 * @typedef {import('./timeline.js').Message} Message
 */

/**
 * A room as a page shows it. Fires `message` once for each message of the log; `replay` when old
 * messages follow; `gap` when messages are missing and cannot be loaded now; `refused` with `draft`
 * and `error`.
 * @extends {Store<RoomState>}
 */
export class RoomView extends Store {
  #client;
  #roomId;
  #username;
  #history;
  /** @type {RoomLog} */
  #log;
  /** @type {Rights} */
  #rights;
  #typists;
  /** @type {import('../room.js').Room | null} */
  #room = null;
  #aborter = new AbortController();
  #typedAt = -Infinity;

  /**
   * @param {import('../chatrooms.js').Chatrooms} client
   * @param {string} roomId
   * @param {{username?: string, history?: number}} [options] `username`: who comes in as a guest when
   *   nobody is signed in, or the name of a token from elsewhere; `history`: messages to start with
   */
  constructor(client, roomId, { username, history = HISTORY } = {}) {
    super(BEGINNING);
    this.#client = client;
    this.#roomId = roomId;
    this.#username = username;
    this.#history = history;
    this.#log = this.#newLog();
    this.#rights = this.#newRights();
    this.#typists = new Typists(client.clock, (typingUsers) => this.change({ typingUsers }));
  }

  start() {
    this.#aborter = new AbortController();
    this.#log = this.#newLog();
    this.#rights = this.#newRights();
    this.change(BEGINNING);
    this.#begin(this.#aborter.signal);
  }

  stop() {
    this.#aborter.abort();
    this.#room?.close();
    this.#room = null;
    this.#log.end();
    this.#typists.clear();
  }

  /** Sends a message, which is shown at once. @param {string} text @returns {string | null} its clientMessageId */
  send = (text) => (text.trim() ? this.#send(text) : null);

  /** Retries a failed message. @param {string} clientMessageId */
  retry = (clientMessageId) => {
    const message = this.#room && this.#log.timeline.unqueue(clientMessageId);
    if (message) this.#send(message.message, clientMessageId);
  };

  /** Discards a failed message. @param {string} clientMessageId */
  discard = (clientMessageId) => this.#log.change((timeline) => timeline.unqueue(clientMessageId));

  /** @param {string} id @param {string} text @throws {import('../http.js').HttpError} */
  edit = async (id, text) => {
    const message = await this.#call('PATCH', `/messages/${encodeURIComponent(id)}`, { message: text });
    const edit = { messageId: id, message: message.message, timestamp: message.editedAt };
    this.#log.change((timeline) => timeline.edit(edit));
  };

  /** @param {string} id @throws {import('../http.js').HttpError} */
  remove = async (id) => {
    await this.#call('DELETE', `/messages/${encodeURIComponent(id)}`);
    this.#log.change((timeline) => timeline.remove(id));
  };

  /** Ends a reply being written. @param {string} messageId @throws {import('../http.js').HttpError} */
  stopReply = (messageId) => this.#client.call('DELETE', replyPath(messageId));

  /**
   * Has the assistant answer the same question again, for everybody.
   * @param {string} messageId @throws {import('../http.js').HttpError}
   */
  askAgain = async (messageId) => {
    this.#log.timeline.expectReply();
    const answer = await this.#client.call('POST', `${replyPath(messageId)}/regenerate`, { body: {} });
    answer.body?.cancel().catch(() => {}); // it arrives through the room's stream
  };

  /** Call this for each key: it tells the others as often as needed. */
  typing = () => {
    const now = this.#client.clock.now();
    if (now - this.#typedAt < TYPING_EVERY_MS || this.#room?.state.state !== 'open') return;
    this.#typedAt = now;
    this.#room.typing().catch((error) => this.#rights.learn(asHttpError(error)));
  };

  /**
   * No event announces the end of a mute, but calls to `typing` are refused while it lasts.
   * @returns {Promise<boolean>} whether it is over
   * @throws {import('../http.js').HttpError}
   */
  checkMute = async () => {
    try {
      await this.#room?.typing();
      this.change({ muted: false });
    } catch (thrown) {
      const error = asHttpError(thrown);
      this.#rights.learn(error);
      if (error.code !== 'muted') throw error;
    }
    return !this.get().muted;
  };

  /** Loads older messages in front, or into the last gap. @throws {import('../http.js').HttpError} */
  loadOlder = () => this.#log.loadOlder();

  /** Retries now to load missing messages. */
  fillGap = () => this.#log.fillGap();

  /** Keeps old messages while the user reads them. @param {boolean} readBack */
  keepOlder = (readBack) => this.#log.keepOlder(readBack);

  /** Fetches what no event carries: the room's title and rules, and what the user may do here. */
  refresh = async () => {
    const { signal } = this.#aborter;
    const room = await this.#rights.refresh();
    if (room && !signal.aborted && this.get().state === 'polling') this.#meet(room); // polls carry no joins and leaves
  };

  /** Reopens it after it was closed. */
  reconnect = () => {
    const { state, reason } = this.get();
    if (state !== 'closed' || this.#aborter.signal.aborted) return;
    if (this.#room && reason !== 'signed-out') this.#room.open();
    else {
      this.stop();
      this.start();
    }
  };

  /** Rejoins as the current user, after a guest has become an account. */
  renew = () => {
    if (this.get().state === 'closed') return;
    this.#room?.close(RENEWED);
    this.#room?.open();
  };

  /** Tries to connect now. */
  hurry = () => this.#room?.poke();

  /** Tells the others at once that the user is leaving; otherwise they learn after the server's grace. */
  leave = () => {
    this.#room?.leave().catch(() => {});
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
    for (const draft of room.outbox.waiting) this.#log.timeline.queue(draft, this.#name());
    for (const [type, handler] of Object.entries(this.#handlers)) {
      room.addEventListener(type, (event) => handler(/** @type {CustomEvent} */ (event).detail), { signal });
    }
    this.#log.show();
  }

  /** What each event of the room changes. @type {Record<string, (detail: any) => void>} */
  #handlers = {
    state: (state) => this.#onState(state),
    system: (system) => this.#onSystem(system),
    presence: (presence) => this.#meet(presence),
    'user-joined': (who) => {
      this.#meet({ members: joined(this.get().members, who), onlineCount: who.onlineCount });
      this.#log.apply(() => this.#log.timeline.notice('joined', who));
    },
    'user-left': (who) => {
      this.#meet({ members: left(this.get().members, who), onlineCount: who.onlineCount });
      this.#typists.remove(who.username);
      this.#log.apply(() => this.#log.timeline.notice('left', who));
    },
    'room-message': (message) => {
      let told = false; // it may be applied once more, behind messages that were read again
      this.#log.apply(() => {
        if (!this.#log.timeline.add(message)) return;
        this.#typists.remove(message.username);
        if (!told) this.emit('message', message);
        told = true;
      });
    },
    'message-edited': (edit) => this.#log.apply(() => this.#log.timeline.edit(edit)),
    'message-deleted': ({ messageId }) => this.#log.apply(() => this.#log.timeline.remove(messageId)),
    'bot-chunk': (piece) => this.#log.apply(() => this.#log.timeline.chunk(piece)),
    typing: ({ userId, username }) => {
      if (String(userId) !== this.#log.timeline.userId) this.#typists.add(username);
    },
    status: ({ degraded, reason }) => this.change({ degraded, degradedReason: reason }),
    sent: ({ draft, answer }) => this.#onQueued(draft, { state: 'sent', id: answer.id, timestamp: answer.timestamp }),
    delayed: ({ draft, error }) => this.#onQueued(draft, { state: 'waiting' }, error),
    failed: ({ draft, error }) => {
      this.#onQueued(draft, { state: 'failed', error: error.message }, error);
      this.emit('refused', { draft, error });
    },
  };

  /** @param {import('../connection.js').LineState} state */
  #onState({ state, reason, retryAt }) {
    if (reason === RENEWED) return; // it rejoins at once
    const unreachable = state !== 'open' && this.get().unreachable;
    this.change({ state, reason, retryAt, unreachable, error: state === 'closed' ? roomSentence(reason) : null });
    if (state !== 'open') this.#typists.clear();
    if (state === 'polling') this.refresh();
  }

  /** @param {any} system */
  #onSystem({ userId, username, members, onlineCount, recovered }) {
    if (userId !== undefined) this.#know({ userId, username });
    if (members) this.#meet({ members, onlineCount });
    this.change({ degraded: false, degradedReason: undefined });
    this.emit('replay');
    if (!recovered || !this.get().room) this.refresh();
    if (!recovered) this.#log.begin();
  }

  /** Who is present: all of them, or only how many. @param {{members?: readonly Member[], onlineCount: number}} presence */
  #meet({ members, onlineCount }) {
    this.change({ onlineCount, ...(members && { members }) });
  }

  #newRights() {
    const { signal } = this.#aborter;
    return new Rights(this.#client, roomPath(this.#roomId), (part) => signal.aborted || this.change(part));
  }

  #newLog() {
    const { signal } = this.#aborter;
    return new RoomLog({
      clock: this.#client.clock,
      history: this.#history,
      ask: async (page) => (await this.#room?.history(page)) ?? { messages: [], hasMore: true },
      onReplay: () => this.emit('replay'),
      onGap: () => this.emit('gap'),
      onChange: (part) => signal.aborted || this.change(part),
    });
  }

  /** @param {string} text @param {string} [clientMessageId] of an unsent one, so that it arrives once */
  #send(text, clientMessageId) {
    if (!this.#room) return null;
    const draft = this.#room.outbox.add(text, clientMessageId);
    this.#log.timeline.queue(draft, this.#name());
    this.#log.show();
    this.#rights.sent();
    return draft.clientMessageId;
  }

  /** @param {import('../outbox.js').Draft} draft @param {Partial<Message>} change @param {import('../http.js').HttpError} [error] */
  #onQueued({ clientMessageId }, change, error) {
    this.#log.change((timeline) => timeline.changeQueued(clientMessageId, change));
    this.change({ unreachable: error?.status === 0 });
    if (error) this.#rights.learn(error);
  }

  /** @param {Member} user */
  #know({ userId, username }) {
    this.#log.timeline.userId = String(userId);
    const known = this.get().user;
    if (known?.userId !== userId || known.username !== username) this.change({ user: { userId, username } });
  }

  #name() {
    return this.get().user?.username ?? this.#username ?? '';
  }

  /** @param {string} method @param {string} path @param {object} [body] */
  #call(method, path, body) {
    return this.#client.json(method, roomPath(this.#roomId) + path, { body });
  }
}

/** @param {string} messageId */
function replyPath(messageId) {
  return `/api/chat/stream/${encodeURIComponent(messageId)}`;
}
