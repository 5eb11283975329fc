import { backoff, CLOCK, Pause } from '../client/clock.js';
import { asHttpError } from '../client/http.js';
import { meet } from './people.js';

/** How many messages are asked for at a time. */
export const PAGE = 50;
const LOG_EVENTS = new Set([
  'room-message', 'message-edited', 'message-deleted', 'user-joined', 'user-left', 'bot-chunk',
]);

/** What each event of a room's stream changes on the page. */
export class RoomEvents {
  #parts;
  #held = null;
  #unread = 0;

  /**
   * @param {{room: import('../client/room.js').Room, user: {userId: string}, timeline: import('./timeline.js').Timeline,
   *   list: import('./messages.js').MessageList, members: import('./members.js').Members,
   *   typing: import('./typing.js').TypingLine, line: import('./connection.js').ConnectionLine,
   *   rooms: import('./rooms.js').RoomList, info: import('./room-info.js').RoomInfo, signal: AbortSignal}} parts
   */
  constructor(parts) {
    this.#parts = parts;
    document.addEventListener('visibilitychange', () => this.#countUnread(-this.#unread), { signal: parts.signal });
    parts.info.addEventListener('change', () => this.#onInfo(), { signal: parts.signal });
    this.#countUnread(0);
  }

  /** @param {{type: string, data: object}} event */
  handle({ type, data }) {
    if (this.#held && LOG_EVENTS.has(type)) this.#held.push({ type, data });
    else this.#handlers[type]?.(data);
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
    if (!data.recovered) this.#reload();
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

  /** The gap cannot be told event by event: the history call does, and the stream waits for it. */
  async #reload() {
    const { timeline, list, signal } = this.#parts;
    const held = this.#held = [];
    const messages = await this.#present();
    if (signal.aborted || this.#held !== held) return; // or a later reload holds them now
    this.#held = null;
    if (messages) {
      messages.forEach(meet);
      timeline.reset(messages);
    }
    held.forEach((event) => this.handle(event));
    list.replaying({ anew: true });
  }

  /** The last messages, as soon as they can be had; null when the server will not give them. */
  async #present() {
    const { room, signal } = this.#parts;
    for (let tries = 0; ; tries += 1) {
      try {
        return (await room.history({ limit: PAGE })).messages;
      } catch (thrown) {
        if (signal.aborted || !asHttpError(thrown).passing) return null;
        await new Pause().for(CLOCK, backoff(CLOCK, tries));
      }
    }
  }

  #isSelf(userId) {
    return String(userId) === String(this.#parts.user.userId);
  }

  #countUnread(change) {
    this.#unread += change;
    document.title = `${this.#unread ? `(${this.#unread}) ` : ''}${this.#parts.info.name} · chatrooms`;
  }
}
