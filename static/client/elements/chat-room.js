import { RICH_STYLE } from '../rich-style.js';
import { sharedView } from '../views/clients.js';
import { RoomView } from '../views/room.js';
import { make, putText, template } from './build.js';
import { COMPOSER } from './composer-style.js';
import { CONTROLS } from './controls-style.js';
import { reflect, ViewElement } from './element.js';
import { showText } from './message-row.js';
import { RoomPane } from './room-pane.js';
import { ROOM } from './room-style.js';
import { BASE } from './styles.js';

const TOAST_MS = 2600;

const STYLE = `
:host { position: relative; display: flex; flex-direction: column; height: 30rem; overflow: clip; --gutter: 12px; --measure: 820px; }
header { display: flex; align-items: center; flex-wrap: wrap; gap: 4px 14px; padding: 12px 16px; border-bottom: 1px solid var(--line); }
#title { margin-inline-end: auto; }
#empty { margin: auto; }
#toast {
  position: absolute; z-index: 1; inset: auto 0 84px; width: fit-content; max-width: 90%; margin: auto; padding: 8px 16px;
  border-radius: 18px; background: var(--ink); color: var(--surface); font-size: 0.9em; pointer-events: none;
}
#join { display: flex; flex-wrap: wrap; gap: 8px; margin-top: auto; padding: 16px; border-top: 1px solid var(--line); }
#join p { flex-basis: 100%; }
#join input { flex: 1; min-width: 0; min-height: 42px; padding: 0 12px; border: 1px solid var(--edge); border-radius: var(--radius-small); background: var(--surface); }
#body { display: contents; }
`;

/** @typedef {import('../views/room.js').RoomState} RoomState */

/**
 * `<chat-room room-id username>`: a room with its messages, members and a composer. Without a
 * `username`, and if nobody is signed in, it asks for a name. Fires `message` with each message of
 * the log, `state` with the state of the connection, and `failure` with a sentence.
 * @extends {ViewElement<RoomState>}
 */
export class ChatRoom extends ViewElement {
  static attributes = ['room-id', 'username', 'heading', 'history'];
  static styles = [BASE, CONTROLS, ROOM, RICH_STYLE, COMPOSER, STYLE];
  static template = template(
    make('header', { id: 'header', part: 'header' },
      make('h2', { id: 'title', part: 'title' }),
      make('span', { id: 'members', class: 'quiet', part: 'members' }),
    ),
    make('div', { id: 'body' }),
    make('form', { id: 'join', hidden: true },
      make('p', { id: 'ask' }, 'Which name do you want to be known by?'),
      make('input', { id: 'name', 'aria-labelledby': 'ask', maxlength: '32', autocomplete: 'nickname', required: true }),
      make('button', { class: 'button primary', type: 'submit' }, 'Join')),
    make('p', { id: 'toast', role: 'status', hidden: true }),
    make('p', { id: 'said', class: 'sr-only', role: 'status' }),
  );

  /** @type {RoomPane | null} */
  #pane = null;
  /** @type {RoomView | null} the pane's view */
  #shown = null;
  #stateTold = '';
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #hiding;
  /** @type {import('./message-row.js').Render} */
  #render = showText;

  constructor() {
    super();
    this.find('join').addEventListener('submit', (event) => this.#join(event));
  }

  /** The messages shown, oldest first. */
  get messages() {
    return this.view?.get().messages ?? [];
  }

  get members() {
    return this.view?.get().members ?? [];
  }

  /** Renders a message's text; by default plain, and replies as Markdown. @type {import('./message-row.js').Render} */
  get render() {
    return this.#render;
  }

  set render(render) {
    this.#render = render;
    this.#leave();
    this.refresh();
  }

  /** Sends a message. @param {string} text */
  send(text) {
    this.#pane?.list.toEnd();
    this.#room?.send(text);
  }

  focus() {
    if (this.find('join').hidden) this.#pane?.composer.focus();
    else this.find('name').focus();
  }

  properties() {
    return ['roomId', 'username', 'heading', 'history', 'url', 'token', 'render'];
  }

  makeView() {
    const id = this.getAttribute('room-id');
    const { client } = this;
    const username = this.getAttribute('username') || undefined;
    if (!id || !(username ?? client.user)) return null;
    const history = this.hasAttribute('history') ? Number(this.getAttribute('history')) : undefined;
    const name = JSON.stringify(['room', id, username, history]);
    return sharedView(client, name, () => new RoomView(client, id, { username, history }));
  }

  handlers() {
    return { message: (/** @type {unknown} */ message) => this.fire('message', message) };
  }

  /** @param {RoomState | null} state */
  draw(state) {
    const heading = this.getAttribute('heading') || state?.room?.title || this.getAttribute('room-id') || 'Room';
    const nobody = !state || (state.state === 'closed' && !state.user);
    this.find('title').textContent = heading;
    this.find('join').hidden = !nobody;
    putText(this.find('members'), state?.onlineCount ? `${state.onlineCount} online` : '');
    this.find('members').title = (state?.members ?? []).map(({ username }) => username).join(', ');
    if (this.#shown !== this.#room) this.#leave();
    if (!state) return;
    this.#pane ??= this.#enter();
    this.#pane.name(heading, `Messages in ${heading}`);
    this.#pane.list.node.hidden = this.#pane.composer.node.hidden = nobody;
    this.#pane.draw(state);
    this.setAttribute('state', state.state);
    if (state.state === this.#stateTold) return;
    this.#stateTold = state.state;
    this.fire('state', state.state);
    if (state.error) this.fire('failure', state.error);
  }

  get #room() {
    return this.view instanceof RoomView ? this.view : null;
  }

  #enter() {
    const room = /** @type {RoomView} */ (this.#shown = this.#room);
    const pane = new RoomPane(room, {
      roomId: this.getAttribute('room-id') ?? '',
      render: this.#render,
      empty: make('p', { id: 'empty', class: 'quiet' }, 'No messages yet.'),
      announce: (text) => { this.find('said').textContent = text; },
      notify: (text) => this.#notify(text),
    });
    this.find('header').append(pane.connection.line);
    this.find('body').replaceChildren(pane.connection.banner, pane.list.node, pane.composer.node);
    return pane;
  }

  #leave() {
    this.#pane?.close();
    this.#pane = this.#shown = null;
  }

  /** Shows a sentence briefly. @param {string} text */
  #notify(text) {
    putText(this.find('toast'), text);
    clearTimeout(this.#hiding);
    this.#hiding = setTimeout(() => putText(this.find('toast'), ''), TOAST_MS);
  }

  /** @param {Event} event */
  #join(event) {
    event.preventDefault();
    const name = /** @type {HTMLInputElement} */ (this.find('name')).value.trim();
    if (!name) return;
    if (name === this.getAttribute('username')) this.#room?.reconnect();
    else this.setAttribute('username', name);
    setTimeout(() => this.focus());
  }
}

reflect(ChatRoom);
