import { announce, toast } from './announcer.js';
import { avatar } from './avatar.js';
import { copy } from './clipboard.js';
import { Composer } from './composer.js';
import { confirm } from './confirm.js';
import { ConnectionLine } from './connection.js';
import { byId } from './dom.js';
import { randomId } from './ids.js';
import { Members } from './members.js';
import { MessageList } from './messages.js';
import { Moderation } from './moderation.js';
import { Outbox } from './outbox.js';
import { meet } from './people.js';
import { RoomDialog } from './room-dialog.js';
import { RoomEvents } from './room-events.js';
import { RoomInfo } from './room-info.js';
import { noteAccess, RoomList } from './rooms.js';
import { RoomStream } from './stream.js';
import { Timeline } from './timeline.js';
import { TypingLine, typingNotifier } from './typing.js';

const ASK = 'Ask its owner or a moderator for an invite link.';
const SHUT = {
  banned: ['You are banned', 'You cannot come into this room until the ban is over.', 'ban'],
  forbidden: ['This room is private', ASK, 'lock'],
  private: ['This room is private', ASK, 'lock'],
};

/** One visit to one room: puts its parts together and takes them down again. */
export class Room {
  #api;
  #user;
  #roomId;
  #clientId;
  #session;
  #info;
  #life = new AbortController();
  #timeline;
  #list;
  #outbox;
  #composer;
  #stream;
  #muted = false;

  /**
   * @param {{api: import('./api.js').Api, session: import('./session.js').Session, roomId: string,
   *   clientId: string, go: (roomId: string) => void, onOut: () => void}} options
   *   `onOut`: the user is to choose another room
   */
  constructor({ api, session, roomId, clientId, go, onOut }) {
    const { signal } = this.#life;
    this.#api = api;
    this.#user = session.user;
    this.#roomId = roomId;
    this.#clientId = clientId;
    this.#session = session;
    this.#info = new RoomInfo({ api, user: this.#user, roomId, signal });
    this.#timeline = new Timeline(this.#user.userId);
    this.#list = new MessageList({
      timeline: this.#timeline, actions: this.#actions(), rights: (entry) => this.#rights(entry),
      loadOlder: () => this.#loadOlder(), signal,
    });
    this.#outbox = this.#makeOutbox(signal);
    this.#composer = this.#makeComposer(signal);
    this.#stream = this.#openStream(go, onOut, signal);
    byId('shut').hidden = true;
    byId('room-view').classList.remove('shut');
    byId('shut-go').addEventListener('click', onOut, { signal });
    byId('shut-retry').addEventListener('click', () => this.#stream.open(), { signal });
    this.#info.addEventListener('change', () => this.#onInfo(), { signal });
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
    byId('room-title').textContent = this.#info.name;
    this.#composer.name(this.#info.name);
    byId('room-lock').toggleAttribute('hidden', !this.#info.settings.private);
    byId('me-name').textContent = byId('me-name').title = this.#user.username;
    byId('me-avatar').replaceChildren(avatar(this.#user.userId, this.#user.username));
  }

  #onInfo() {
    noteAccess(this.#roomId, this.#info.settings.private);
    this.#dress();
    this.#list.update();
  }

  #openStream(go, onOut, signal) {
    const { username } = this.#user;
    const session = this.#session;
    const info = this.#info;
    const moderation = new Moderation(info);
    new RoomDialog({ api: this.#api, info, moderation, onLeft: onOut, signal });
    const stream = new RoomStream({
      query: { roomId: this.#roomId, username, clientId: this.#clientId },
      token: () => session.token(),
      check: () => this.#api.history(this.#roomId, { limit: 1 }),
      outlived: (used) => session.outlived(used),
      signal,
    });
    const line = new ConnectionLine({ onRejoin: () => stream.open(), signal });
    const rooms = new RoomList({ api: this.#api, current: this.#roomId, go, signal });
    info.addEventListener('change', () => rooms.redraw(), { signal });
    const events = new RoomEvents({
      api: this.#api, session, roomId: this.#roomId, clientId: this.#clientId, timeline: this.#timeline,
      list: this.#list, members: new Members({ self: this.#user, info, moderation, signal }),
      typing: new TypingLine(signal), line, rooms, info, signal,
    });
    stream.addEventListener('state', ({ detail }) => {
      line.show(detail);
      this.#onState(detail);
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
      onFailed: (item, error) => this.#onRefused(item, error),
      onDelayed: (error) => this.#learn(error),
      signal,
    });
  }

  #makeComposer(signal) {
    const where = { clientId: this.#clientId, username: this.#user.username };
    return new Composer({
      roomId: this.#roomId,
      onSend: (text) => this.#sendNew(text),
      onEdit: (entry, text) => this.#saveEdit(entry, text),
      onTyping: typingNotifier(() => this.#api.typing(this.#roomId, where).catch((error) => this.#learn(error))),
      onCheck: () => this.#checkMute(where),
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
      stop: (entry) => this.#onReply(() => this.#api.stopReply(entry.messageId), 'Not stopped'),
      askAgain: (entry) => this.#onReply(async () => {
        this.#timeline.expectReply();
        await this.#api.askAgain(entry.messageId);
      }, 'Not asked'),
    };
  }

  #rights({ askedBy }) {
    const { moderates } = this.#info;
    return { moderates, asked: moderates || (askedBy !== undefined && askedBy === String(this.#user.userId)) };
  }

  #onState({ name, reason }) {
    const shut = name === 'stopped' && reason in SHUT && !byId('messages').querySelector('.message');
    byId('shut').hidden = !shut;
    byId('room-view').classList.toggle('shut', shut);
    if (name === 'live') {
      this.#outbox.hurry();
      if (!this.#muted) this.#composer.open();
    } else if (name === 'stopped' && this.#session.user) {
      this.#composer.close({ text: 'You are not in this room any more.', icon: 'lock' });
    }
    if (!shut) return;
    byId('empty').hidden = true;
    const [title, text, icon] = SHUT[reason];
    byId('shut-title').textContent = title;
    byId('shut-text').textContent = text;
    byId('shut-icon').setAttribute('href', `#icon-${icon}`);
    announce(`${title}. ${text}`);
  }

  #onRefused({ clientMessageId, message }, error) {
    if (error.code === 'muted') {
      this.#timeline.unqueue(clientMessageId);
      this.#composer.restore(message);
    } else this.#timeline.markFailed(clientMessageId, error.message);
    this.#list.update();
    this.#learn(error);
  }

  /** What a refusal says about this user's rights. */
  #learn({ code, retryAfterMs }) {
    if (code === 'slow-mode') {
      this.#composer.pause(retryAfterMs);
      this.#info.refresh();
    }
    if (code !== 'muted') return;
    this.#muted = true;
    this.#composer.close({ text: 'You are muted: you can read, but not write.', icon: 'mute', mayCheck: true });
  }

  /** Nothing tells of the end of a mute; the call that tells of typing is refused while it lasts. */
  async #checkMute(where) {
    try {
      await this.#api.typing(this.#roomId, where);
      this.#muted = false;
      this.#composer.open();
      toast('You may write again');
    } catch (error) {
      toast(error.code === 'muted' ? 'You are still muted' : error.message);
    }
  }

  async #onReply(act, problem) {
    try {
      await act();
    } catch (error) {
      toast(`${problem}: ${error.message}`);
    }
  }

  #sendNew(text) {
    this.#change(() => this.#post(text, randomId()));
    this.#composer.pause(this.#info.pace * 1000);
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
    const text = this.#timeline.isOwn(entry)
      ? 'It disappears for everyone. This cannot be undone.'
      : `What ${entry.username} wrote disappears for everyone. The room's log notes that you did it.`;
    if (!await confirm({ title: 'Delete this message?', text, yes: 'Delete' })) return;
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
    messages.forEach(meet);
    this.#timeline.prepend(messages);
    return hasMore;
  }

  #change(change) {
    change();
    this.#list.update();
  }
}
