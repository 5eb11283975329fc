import { oncePerFrame } from '../client/elements/frames.js';
import { avatar } from '../client/elements/people.js';
import { RoomPane } from '../client/elements/room-pane.js';
import { RoomView } from '../client/views/room.js';
import { announce, toast } from './announcer.js';
import { confirm } from './confirm.js';
import { byId, drawIcon } from './dom.js';
import { Members } from './members.js';
import { Moderation } from './moderation.js';
import { meetAuthors } from './people.js';
import { render } from './render.js';
import { RoomDialog } from './room-dialog.js';
import { RoomInfo } from './room-info.js';
import { RoomList } from './rooms.js';

const ASK = 'Ask its owner or a moderator for an invite link.';
const SHUT = {
  banned: ['You are banned', 'You cannot come into this room until the ban is over.', 'ban'],
  forbidden: ['This room is private', ASK, 'lock'],
  private: ['This room is private', ASK, 'lock'],
};
const UP = ['open', 'polling'];

/** One visit to one room: sets up its parts and tears them down. */
export class Visit {
  #client;
  #user;
  #view;
  #info;
  #pane;
  #rooms;
  #members;
  #life = new AbortController();
  #drawn = {};
  #unread = 0;

  /**
   * @param {{api: import('./api.js').Api, client: import('../client/chatrooms.js').Chatrooms, roomId: string,
   *   go: (roomId: string) => void, onOut: () => void}} options `onOut`: the user must choose another room
   */
  constructor({ api, client, roomId, go, onOut }) {
    const { signal } = this.#life;
    this.roomId = roomId;
    this.#client = client;
    this.#user = { ...client.user };
    const view = this.#view = new RoomView(client, roomId);
    const info = this.#info = new RoomInfo({ api, view, user: this.#user, roomId, signal });
    const moderation = new Moderation(info);
    new RoomDialog({ api, info, moderation, onLeft: onOut, signal });
    this.#rooms = new RoomList({ api, current: roomId, go, signal });
    this.#members = new Members({ self: this.#user, info, moderation, signal });
    this.#pane = new RoomPane(view, {
      roomId, render, announce, notify: toast, confirm: (message) => this.#mayDelete(message),
      empty: byId('empty-template').content.firstElementChild.cloneNode(true),
    });
    const { connection, list, composer } = this.#pane;
    byId('room-name').append(connection.line);
    byId('shut').before(connection.banner);
    byId('shut').after(list.node, composer.node);
    this.#listen(onOut, signal);
    this.#showShut({});
    this.#dress();
  }

  /** Rejoins after the server ended the visit. */
  open() {
    this.#view.reconnect();
  }

  /**
   * The sign-in continues with new tokens; if a guest has become an account, here or in another tab,
   * the room is told. @returns {boolean} false for a different name, with which the user must rejoin
   */
  renew() {
    const { user } = this.#client;
    const was = this.#user;
    if (user.userId !== was.userId || user.username !== was.username) return false;
    if (Boolean(user.guest) === Boolean(was.guest)) return true;
    Object.assign(was, user);
    this.#dress();
    this.#view.renew();
    return true;
  }

  /** Ends the visit; with `goodbye` the others learn it at once, otherwise after the server's grace. */
  close({ goodbye = false } = {}) {
    if (goodbye) this.#view.leave();
    this.#life.abort();
    this.#pane.close();
  }

  /** Focuses the composer, except on touch screens, where the keyboard would cover the messages. */
  focus() {
    if (matchMedia('(hover: hover)').matches) this.#pane.composer.focus();
    else byId('room-main').focus();
  }

  #listen(onOut, signal) {
    byId('shut-go').addEventListener('click', onOut, { signal });
    byId('shut-retry').addEventListener('click', () => this.open(), { signal });
    document.addEventListener('visibilitychange', () => this.#countUnread(-this.#unread), { signal });
    this.#view.addEventListener('message', ({ detail: { userId } }) => {
      if (document.hidden && String(userId) !== String(this.#user.userId)) this.#countUnread(1);
    }, { signal });
    this.#info.addEventListener('change', () => {
      this.#rooms.change(this.#info.settings);
      this.#dress();
    }, { signal });
    const unwatch = this.#view.subscribe(oncePerFrame(() => signal.aborted || this.#draw(this.#view.get())));
    signal.addEventListener('abort', unwatch);
  }

  /** @param {import('../client/views/room.js').RoomState} state */
  #draw(state) {
    const before = this.#drawn;
    const differs = (...names) => names.some((name) => state[name] !== before[name]);
    this.#drawn = state;
    this.#pane.draw(state);
    if (differs('members', 'onlineCount')) this.#members.set(state);
    if (differs('messages')) meetAuthors(state.messages);
    if (differs('state', 'reason')) this.#showShut(state);
    if (differs('state') && UP.includes(state.state)) this.#rooms.refresh();
  }

  #dress() {
    const { name, settings } = this.#info;
    byId('room-title').textContent = name;
    this.#pane.name(name);
    byId('room-lock').toggleAttribute('hidden', !settings.private);
    byId('me-name').textContent = byId('me-name').title = this.#user.username;
    byId('me-avatar').replaceChildren(avatar(this.#user.userId, this.#user.username));
    byId('keep').hidden = !this.#user.guest;
    this.#countUnread(0);
  }

  #countUnread(change) {
    this.#unread += change;
    document.title = `${this.#unread ? `(${this.#unread}) ` : ''}${this.#info.name} · chatrooms`;
  }

  /** Replaces a room that the user may not see by a sentence. */
  #showShut({ state, reason, messages }) {
    const shut = state === 'closed' && reason in SHUT && !messages.length;
    byId('shut').hidden = !shut;
    byId('room-view').classList.toggle('shut', shut);
    if (!shut) return;
    const [title, text, icon] = SHUT[reason];
    byId('shut-title').textContent = title;
    byId('shut-text').textContent = text;
    drawIcon(byId('shut-icon'), icon);
    if (byId('room-main').contains(document.activeElement)) byId('room-main').focus(); // not on something hidden
    announce(`${title}. ${text}`);
  }

  #mayDelete({ own, username }) {
    const text = own
      ? 'It disappears for everyone. This cannot be undone.'
      : `What ${username} wrote disappears for everyone. The room's log notes that you did it.`;
    return confirm({ title: 'Delete this message?', text, yes: 'Delete' });
  }
}
