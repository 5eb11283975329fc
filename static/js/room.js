import { toast } from './announcer.js';
import { avatar } from './avatar.js';
import { copy } from './clipboard.js';
import { Composer } from './composer.js';
import { confirmDelete } from './confirm.js';
import { ConnectionLine } from './connection.js';
import { byId } from './dom.js';
import { randomId } from './ids.js';
import { Members } from './members.js';
import { MessageList } from './messages.js';
import { Outbox } from './outbox.js';
import { RoomEvents } from './room-events.js';
import { RoomList } from './rooms.js';
import { RoomStream } from './stream.js';
import { Timeline } from './timeline.js';
import { TypingLine, typingNotifier } from './typing.js';

/** One visit to one room: puts its parts together and takes them down again. */
export class Room {
  #api;
  #user;
  #roomId;
  #clientId;
  #life = new AbortController();
  #timeline;
  #list;
  #outbox;
  #composer;
  #stream;

  /**
   * @param {{api: import('./api.js').Api, session: import('./session.js').Session, roomId: string,
   *   clientId: string, go: (roomId: string) => void}} options
   */
  constructor({ api, session, roomId, clientId, go }) {
    const { signal } = this.#life;
    this.#api = api;
    this.#user = session.user;
    this.#roomId = roomId;
    this.#clientId = clientId;
    this.#timeline = new Timeline(this.#user.userId);
    this.#list = new MessageList({
      timeline: this.#timeline, actions: this.#actions(), loadOlder: () => this.#loadOlder(), signal,
    });
    this.#outbox = this.#makeOutbox(signal);
    this.#composer = this.#makeComposer(signal);
    this.#stream = this.#openStream(session, go, signal);
    this.#dress();
    for (const item of this.#outbox.resume()) this.#timeline.queue({ ...item, username: this.#user.username });
  }

  /** Ends the visit here; `goodbye` tells the others at once, else after the server's grace. */
  close({ goodbye = false } = {}) {
    this.#life.abort();
    if (goodbye) this.#api.leave(this.#roomId, this.#clientId).catch(() => {});
  }

  /** Ready to type; on a touch screen that would bring up the keyboard over the messages. */
  focus() {
    if (matchMedia('(hover: hover)').matches) this.#composer.focus();
    else byId('room-main').focus();
  }

  #dress() {
    byId('room-title').textContent = this.#roomId;
    byId('me-name').textContent = byId('me-name').title = this.#user.username;
    byId('me-avatar').replaceChildren(avatar(this.#user.userId, this.#user.username));
  }

  #openStream(session, go, signal) {
    const { username } = this.#user;
    const stream = new RoomStream({
      query: { roomId: this.#roomId, username, clientId: this.#clientId },
      token: () => session.token(),
      check: () => this.#api.room(this.#roomId),
      signal,
    });
    const line = new ConnectionLine({ onRejoin: () => stream.open(), signal });
    const rooms = new RoomList({ api: this.#api, current: this.#roomId, go, signal });
    const events = new RoomEvents({
      api: this.#api, session, roomId: this.#roomId, clientId: this.#clientId, timeline: this.#timeline,
      list: this.#list, members: new Members(this.#user), typing: new TypingLine(signal), line, rooms, signal,
    });
    stream.addEventListener('state', ({ detail }) => {
      line.show(detail);
      if (detail.name === 'live') this.#outbox.hurry();
    }, { signal });
    stream.addEventListener('event', ({ detail }) => events.handle(detail), { signal });
    stream.open();
    return stream;
  }

  #makeOutbox(signal) {
    return new Outbox({
      name: `${this.#user.userId}/${this.#roomId}`,
      send: ({ message, clientMessageId }) => this.#api.send(this.#roomId, {
        message, clientMessageId, clientId: this.#clientId, username: this.#user.username,
      }),
      onSent: (item, answer) => this.#change(() => this.#timeline.markSent(item.clientMessageId, answer)),
      onFailed: (item, error) => this.#change(() => this.#timeline.markFailed(item.clientMessageId, error.message)),
      signal,
    });
  }

  #makeComposer(signal) {
    const where = { clientId: this.#clientId, username: this.#user.username };
    return new Composer({
      roomId: this.#roomId,
      onSend: (text) => this.#sendNew(text),
      onEdit: (entry, text) => this.#saveEdit(entry, text),
      onTyping: typingNotifier(() => this.#api.typing(this.#roomId, where).catch(() => {})),
      lastOwn: () => this.#timeline.lastOwn,
      signal,
    });
  }

  #actions() {
    return {
      edit: (entry) => this.#composer.edit(entry),
      remove: (entry) => this.#remove(entry),
      copy: (entry) => copy(entry.message, 'Message copied'),
      retry: (entry) => this.#change(() => {
        this.#timeline.unqueue(entry.clientMessageId);
        this.#post(entry.message, entry.clientMessageId);
      }),
      discard: (entry) => this.#change(() => this.#timeline.unqueue(entry.clientMessageId)),
    };
  }

  #sendNew(text) {
    this.#change(() => this.#post(text, randomId()));
    this.#list.toEnd();
  }

  #post(message, clientMessageId) {
    this.#timeline.queue({ message, clientMessageId, username: this.#user.username });
    this.#outbox.add({ message, clientMessageId });
  }

  async #saveEdit(entry, message) {
    await this.#api.edit(this.#roomId, entry.id, message);
    this.#change(() => this.#timeline.edit({ messageId: entry.id, message, editedAt: Date.now() }));
  }

  async #remove(entry) {
    const sure = await confirmDelete('Delete this message?', 'It disappears for everyone. This cannot be undone.');
    if (!sure) return;
    try {
      await this.#api.remove(this.#roomId, entry.id);
      this.#change(() => this.#timeline.remove(entry.id));
    } catch (error) {
      toast(`Not deleted: ${error.message}`);
    }
    this.#composer.focus();
  }

  async #loadOlder() {
    const { messages, hasMore } = await this.#api.history(this.#roomId, { before: this.#timeline.oldestId });
    this.#timeline.prepend(messages);
    return hasMore;
  }

  #change(change) {
    change();
    this.#list.update();
  }
}
