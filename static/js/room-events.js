import { CatchUp } from './catch-up.js';
import { meet } from './people.js';

const LOG_EVENTS = new Set([
  'room-message', 'message-edited', 'message-deleted', 'user-joined', 'user-left', 'bot-chunk',
]);

/** What each event of a room's stream changes on the page. */
export class RoomEvents {
  #parts;
  #catchUp;
  #unread = 0;

  /**
   * @param {{room: import('../client/room.js').Room, user: {userId: string}, timeline: import('./timeline.js').Timeline,
   *   list: import('./messages.js').MessageList, members: import('./members.js').Members,
   *   typing: import('./typing.js').TypingLine, line: import('./connection.js').ConnectionLine,
   *   rooms: import('./rooms.js').RoomList, info: import('./room-info.js').RoomInfo, signal: AbortSignal}} parts
   */
  constructor(parts) {
    this.#parts = parts;
    this.#catchUp = new CatchUp({ ...parts, apply: (event) => this.#handlers[event.type](event.data) });
    document.addEventListener('visibilitychange', () => this.#countUnread(-this.#unread), { signal: parts.signal });
    parts.info.addEventListener('change', () => this.#onInfo(), { signal: parts.signal });
    this.#countUnread(0);
  }

  /** @param {{type: string, data: object}} event */
  handle({ type, data }) {
    if (LOG_EVENTS.has(type) && this.#catchUp.hold({ type, data })) return;
    this.#handlers[type]?.(data);
  }

  /** Asks at once for messages that are missing. */
  fillGap() {
    this.#catchUp.retry();
  }

  /** Asks for what no event tells. */
  refresh() {
    this.#parts.rooms.refresh();
    this.#parts.info.refresh();
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
  };

  #onSystem(data) {
    const { members, line, list } = this.#parts;
    if (data.members) members.set(data);
    line.showStatus({ degraded: false });
    list.replaying();
    this.refresh();
    if (!data.recovered) this.#catchUp.begin();
  }

  /** Polls bring no joins and leaves; but now and then the room is asked about. */
  #onInfo() {
    const { room, info, members } = this.#parts;
    if (room.state.state === 'polling') members.set(info.settings);
    this.#countUnread(0);
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

  #isSelf(userId) {
    return String(userId) === String(this.#parts.user.userId);
  }

  #countUnread(change) {
    this.#unread += change;
    document.title = `${this.#unread ? `(${this.#unread}) ` : ''}${this.#parts.info.name} · chatrooms`;
  }
}
