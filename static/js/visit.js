import { announce, toast } from './announcer.js';
import { avatar } from './avatar.js';
import { PAGE } from './catch-up.js';
import { copy } from './clipboard.js';
import { Composer } from './composer.js';
import { confirm } from './confirm.js';
import { ConnectionLine } from './connection.js';
import { byId } from './dom.js';
import { Members } from './members.js';
import { MessageList } from './messages.js';
import { Moderation } from './moderation.js';
import { meet } from './people.js';
import { RoomDialog } from './room-dialog.js';
import { RoomEvents } from './room-events.js';
import { RoomInfo } from './room-info.js';
import { RoomList } from './rooms.js';
import { Timeline } from './timeline.js';
import { TypingLine, typingNotifier } from './typing.js';

const RENEWED = 'renewed'; // left only to come in as who the user is now
const ASK = 'Ask its owner or a moderator for an invite link.';
const SHUT = {
  banned: ['You are banned', 'You cannot come into this room until the ban is over.', 'ban'],
  forbidden: ['This room is private', ASK, 'lock'],
  private: ['This room is private', ASK, 'lock'],
};

/** One visit to one room: puts its parts together and takes them down again. */
export class Visit {
  #api;
  #client;
  #user;
  #room;
  #info;
  #life = new AbortController();
  #timeline;
  #list;
  #composer;
  #line;
  #events;
  #muted = false;

  /**
   * @param {{api: import('./api.js').Api, client: import('../client/chatrooms.js').Chatrooms, roomId: string,
   *   go: (roomId: string) => void, onOut: () => void}} options `onOut`: the user is to choose another room
   */
  constructor({ api, client, roomId, go, onOut }) {
    const { signal } = this.#life;
    this.#api = api;
    this.#client = client;
    this.#user = { ...client.user };
    this.#room = client.room(roomId, { history: PAGE });
    this.#info = new RoomInfo({ api, user: this.#user, roomId, signal });
    this.#timeline = new Timeline(this.#user.userId);
    this.#list = new MessageList({
      timeline: this.#timeline, actions: this.#actions(), rights: (entry) => this.#rights(entry),
      loadOlder: () => this.#loadOlder(), signal,
    });
    this.#composer = this.#makeComposer(signal);
    this.#line = new ConnectionLine({ onRejoin: () => this.open(), onHurry: () => this.#room.poke(), signal });
    byId('shut').hidden = true;
    byId('room-view').classList.remove('shut');
    byId('shut-go').addEventListener('click', onOut, { signal });
    byId('shut-retry').addEventListener('click', () => this.open(), { signal });
    this.#furnish(go, onOut, signal);
    this.#listen(signal);
    this.#dress();
    for (const draft of this.#room.outbox.waiting) this.#queue(draft);
  }

  get roomId() {
    return this.#room.roomId;
  }

  /** Comes in again, where the server has ended it. */
  open() {
    this.#room.open();
  }

  /**
   * The sign-in goes on with new tokens; when a guest has become an account, here or in another tab,
   * the room is told. @returns {boolean} false for another name, with which the user must come in anew
   */
  renew() {
    const { user } = this.#client;
    const was = this.#user;
    if (user.userId !== was.userId || user.username !== was.username) return false;
    if (Boolean(user.guest) === Boolean(was.guest)) return true;
    Object.assign(was, user);
    this.#dress();
    if (this.#room.state.state !== 'closed') {
      this.#room.close(RENEWED);
      this.#room.open();
    }
    return true;
  }

  /** Ends the visit here; `goodbye` tells the others at once, else after the server's grace. */
  close({ goodbye = false } = {}) {
    this.#life.abort();
    if (goodbye) this.#room.leave().catch(() => {});
    else this.#room.close();
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
    byId('keep').hidden = !this.#user.guest;
  }

  /** The parts beside the messages, and what each event of the room does to them. */
  #furnish(go, onOut, signal) {
    const info = this.#info;
    const moderation = new Moderation(info);
    new RoomDialog({ api: this.#api, info, moderation, onLeft: onOut, signal });
    const rooms = new RoomList({ api: this.#api, current: this.roomId, go, signal });
    const members = new Members({ self: this.#user, info, moderation, signal });
    const events = this.#events = new RoomEvents({
      room: this.#room, user: this.#user, timeline: this.#timeline, list: this.#list, line: this.#line,
      typing: new TypingLine(signal), members, rooms, info, signal,
    });
    info.addEventListener('change', () => {
      rooms.change(info.settings);
      this.#dress();
      this.#list.update();
    }, { signal });
    this.#room.addEventListener('event', ({ detail }) => events.handle(detail), { signal });
    this.#room.addEventListener('state', ({ detail }) => detail.state === 'polling' && events.refresh(), { signal });
  }

  /** What becomes of the stream, and of the messages on their way. */
  #listen(signal) {
    const on = (type, act) => this.#room.addEventListener(type, ({ detail }) => act(detail), { signal });
    on('state', (state) => this.#onState(state));
    on('sent', ({ draft, answer }) => this.#change(() => this.#timeline.markSent(draft.clientMessageId, answer)));
    on('delayed', ({ draft, error }) => this.#onDelayed(draft, error));
    on('failed', ({ draft, error }) => this.#onRefused(draft, error));
  }

  #makeComposer(signal) {
    return new Composer({
      roomId: this.roomId,
      onSend: (text) => this.#sendNew(text),
      onEdit: (entry, text) => this.#saveEdit(entry, text),
      onTyping: typingNotifier(() => this.#room.typing().catch((error) => this.#learn(error))),
      onCheck: () => this.#checkMute(),
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
        this.#queue(this.#room.outbox.add(entry.message, entry.clientMessageId));
      }),
      discard: (entry) => this.#change(() => this.#timeline.unqueue(entry.clientMessageId)),
      fillGap: () => this.#events.fillGap(),
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

  #onState(state) {
    const { reason } = state;
    if (reason === RENEWED) return; // it comes in again at once
    const closed = state.state === 'closed';
    this.#line.show(state);
    const shut = closed && reason in SHUT && !byId('messages').querySelector('.message');
    byId('shut').hidden = !shut;
    byId('room-view').classList.toggle('shut', shut);
    if (['open', 'polling'].includes(state.state)) {
      if (!this.#muted) this.#composer.open();
    } else if (closed && this.#client.user) {
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

  #onDelayed({ clientMessageId }, error) {
    this.#change(() => this.#timeline.markDelayed(clientMessageId));
    this.#learn(error);
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
  async #checkMute() {
    try {
      await this.#room.typing();
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
    this.#change(() => this.#queue(this.#room.send(text)));
    this.#composer.pause(this.#info.pace * 1000);
    this.#list.toEnd();
  }

  #queue({ clientMessageId, message }) {
    this.#timeline.queue({ clientMessageId, message, username: this.#user.username });
  }

  async #saveEdit(entry, message) {
    await this.#api.edit(this.roomId, entry.id, message);
    this.#change(() => this.#timeline.edit({ messageId: entry.id, message, editedAt: Date.now() }));
  }

  async #remove(entry) {
    const text = this.#timeline.isOwn(entry)
      ? 'It disappears for everyone. This cannot be undone.'
      : `What ${entry.username} wrote disappears for everyone. The room's log notes that you did it.`;
    if (!await confirm({ title: 'Delete this message?', text, yes: 'Delete' })) return;
    try {
      await this.#api.remove(this.roomId, entry.id);
      this.#change(() => this.#timeline.remove(entry.id));
    } catch (error) {
      toast(`Not deleted: ${error.message}`);
    }
    this.#composer.focus();
  }

  async #loadOlder() {
    const before = this.#timeline.oldestId;
    const { messages, hasMore } = await this.#room.history({ before, limit: PAGE });
    if (this.#timeline.oldestId !== before) return true; // begun anew or trimmed meanwhile: these would leave a hole
    messages.forEach(meet);
    this.#timeline.prepend(messages);
    return hasMore;
  }

  #change(change) {
    change();
    this.#list.update();
  }
}
