import { meet } from './people.js';

const SHORTEST_EXTEND_MS = 1000;
const LONGEST_EXTEND_MS = 30_000;
const LOG_EVENTS = new Set([
  'room-message', 'message-edited', 'message-deleted', 'user-joined', 'user-left', 'bot-chunk',
]);

/** What each event of a room's stream changes on the page. */
export class RoomEvents {
  #parts;
  #held = null;
  #unread = 0;
  #extending = null;

  /**
   * @param {{api: import('./api.js').Api, session: import('./session.js').Session, roomId: string,
   *   clientId: string, timeline: import('./timeline.js').Timeline,
   *   list: import('./messages.js').MessageList, members: import('./members.js').Members,
   *   typing: import('./typing.js').TypingLine, line: import('./connection.js').ConnectionLine,
   *   rooms: import('./rooms.js').RoomList, info: import('./room-info.js').RoomInfo, signal: AbortSignal}} parts
   */
  constructor(parts) {
    this.#parts = parts;
    document.addEventListener('visibilitychange', () => this.#countUnread(-this.#unread), { signal: parts.signal });
    parts.signal.addEventListener('abort', () => clearTimeout(this.#extending));
    this.#countUnread(0);
  }

  /** @param {{type: string, data: object}} event */
  handle({ type, data }) {
    if (this.#held && LOG_EVENTS.has(type)) this.#held.push({ type, data });
    else this.#handlers[type]?.(data);
  }

  #handlers = {
    system: (data) => this.#onSystem(data),
    presence: (data) => this.#parts.members.set(data),
    'user-joined': (data) => this.#onJoined(data),
    'user-left': (data) => this.#onLeft(data),
    'room-message': (data) => this.#onMessage(data),
    'message-edited': ({ messageId, message, timestamp }) => {
      this.#parts.timeline.edit({ messageId, message, editedAt: timestamp });
      this.#parts.list.update();
    },
    'message-deleted': ({ messageId }) => {
      this.#parts.timeline.remove(messageId);
      this.#parts.list.update();
    },
    'bot-chunk': (data) => {
      this.#parts.timeline.chunk(data);
      this.#parts.list.update();
    },
    typing: ({ userId, username }) => {
      if (!this.#isSelf(userId)) this.#parts.typing.show(username);
    },
    status: (data) => this.#parts.line.showStatus(data),
    'token-expiring': (data) => this.#extendSoon(data),
  };

  #onSystem(data) {
    const { members, line, list, rooms, info } = this.#parts;
    members.set(data);
    line.showStatus({ degraded: false });
    list.replaying();
    rooms.refresh();
    info.refresh();
    if (!data.recovered) this.#reload();
  }

  #onJoined(data) {
    this.#parts.members.join(data);
    this.#parts.timeline.notice('joined', data);
    this.#parts.list.update();
  }

  #onLeft(data) {
    this.#parts.members.leave(data);
    this.#parts.typing.hide(data.username);
    this.#parts.timeline.notice('left', data);
    this.#parts.list.update();
  }

  #onMessage(data) {
    meet(data);
    const fresh = this.#parts.timeline.add(data) && !this.#isSelf(data.userId);
    this.#parts.typing.hide(data.username);
    this.#parts.list.update({ fresh: fresh ? 1 : 0 });
    if (fresh && document.hidden) this.#countUnread(1);
  }

  /** The gap cannot be told event by event: the history call does, and the stream waits for it. */
  async #reload() {
    const { api, roomId, timeline, list, signal } = this.#parts;
    this.#held = [];
    const page = await api.history(roomId).catch(() => null);
    if (signal.aborted) return;
    const held = this.#held;
    this.#held = null;
    page?.messages.forEach(meet);
    timeline.reset(page?.messages ?? []);
    held.forEach((event) => this.handle(event));
    list.replaying({ anew: true });
  }

  /**
   * Half-way to the end: a token that lives shorter than the server's warning time is warned about
   * anew at once, and answering at once would go round without a pause. Bounded, as clocks differ.
   */
  #extendSoon({ expiresAt }) {
    const delay = Math.min(LONGEST_EXTEND_MS, Math.max(SHORTEST_EXTEND_MS, (expiresAt - Date.now()) / 2));
    clearTimeout(this.#extending);
    this.#extending = setTimeout(() => this.#extend(), delay);
  }

  async #extend() {
    const { api, session, clientId } = this.#parts;
    try {
      await session.refresh();
      await api.extend(clientId);
    } catch {
      // The stream then ends with its token, and opens again with a new one.
    }
  }

  #isSelf(userId) {
    return String(userId) === String(this.#parts.session.user?.userId);
  }

  #countUnread(change) {
    this.#unread += change;
    document.title = `${this.#unread ? `(${this.#unread}) ` : ''}${this.#parts.roomId} · chatrooms`;
  }
}
