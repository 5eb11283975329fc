import { asHttpError } from '../http.js';
import { sharedView } from '../views/clients.js';
import { RoomView } from '../views/room.js';
import { make, template } from './build.js';
import { Composer, composerForm, COMPOSER_STYLE } from './composer.js';
import { reflect, ViewElement } from './element.js';
import { fillRow, follows, makeRow, ROW_STYLE } from './message-row.js';
import { Rows } from './rows.js';
import { Scroll } from './scroll.js';
import { BASE } from './styles.js';
import { stateWord } from './words.js';

const HUSH_MS = 1000;

const STYLE = `
:host { display: flex; flex-direction: column; height: 30rem; overflow: clip; }
header { display: flex; align-items: center; flex-wrap: wrap; gap: 4px 14px; padding: 12px 16px; border-bottom: 1px solid var(--line); }
#title { margin-inline-end: auto; }
.body { position: relative; flex: 1; min-height: 0; display: grid; }
.body > * { grid-area: 1 / 1; }
#log { isolation: isolate; min-height: 0; overflow-y: auto; overflow-anchor: none; padding: 8px 4px 10px; }
#log:focus-visible { outline-offset: -3px; }
#older { display: block; margin: 4px auto 6px; }
#empty { place-self: center; pointer-events: none; }
#end { z-index: 1; place-self: end center; margin-bottom: 10px; background: var(--surface); box-shadow: 0 2px 10px rgb(0 0 0 / 18%); }
#typing { height: 22px; padding: 0 16px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
#problem { display: flex; align-items: center; justify-content: space-between; gap: 10px; padding: 6px 16px; color: var(--danger); font-size: 13.5px; }
#join { padding: 16px; }
#join p { flex-basis: 100%; }
`;

/**
 * `<chat-room room-id username>`: a room with its messages, members and a place to write. Without a
 * `username`, and when nobody is signed in, it asks for a name. Fires `message` with each message of
 * the log, `state` with the state of the connection, and `failure` with a sentence.
 * @extends {ViewElement<import('../views/room.js').RoomState>}
 */
export class ChatRoom extends ViewElement {
  static attributes = ['room-id', 'username', 'heading', 'history'];
  static styles = [BASE, STYLE, ROW_STYLE, COMPOSER_STYLE];
  static template = template(
    make('header', { part: 'header' },
      make('h2', { id: 'title', part: 'title' }),
      make('span', { id: 'members', class: 'quiet', part: 'members' }),
      make('span', { id: 'state', class: 'state', part: 'state', role: 'status' }),
    ),
    make('div', { class: 'body' },
      make('div', { id: 'log', part: 'log', tabindex: '0', role: 'log', 'aria-labelledby': 'title' },
        make('button', { id: 'older', type: 'button', hidden: true }, 'Earlier messages'),
        make('ol', { id: 'list' })),
      make('p', { id: 'empty', class: 'quiet' }, 'No messages yet.'),
      make('button', { id: 'end', type: 'button', hidden: true }, '↓ Newest'),
    ),
    make('div', { id: 'typing', class: 'quiet', part: 'typing', 'aria-live': 'off' }),
    make('div', { id: 'problem', role: 'alert', hidden: true }, make('span', { id: 'why' }), make('button', { id: 'again', type: 'button' }, 'Try again')),
    composerForm(),
    make('form', { id: 'join', hidden: true },
      make('p', { id: 'ask' }, 'Which name do you want to be known by?'),
      make('input', { id: 'name', 'aria-labelledby': 'ask', maxlength: '32', autocomplete: 'nickname', required: true }),
      make('button', { class: 'main', type: 'submit' }, 'Join')),
  );

  #rows;
  #scroll;
  #composer;
  #problem = '';
  #stateTold = '';
  #hushed = 0;

  constructor() {
    super();
    this.#rows = new Rows(this.find('list'), { make: makeRow, fill: fillRow, follows });
    this.#scroll = new Scroll(this.find('log'), () => this.#drawEnd());
    this.#composer = new Composer(this.root, {
      send: (text) => this.send(text),
      edit: (id, text) => this.#try((view) => view.edit(id, text)),
      typing: () => this.#room?.typing(),
      lastOwn: () => [...this.messages].reverse().find(({ own, id }) => own && id),
    });
    this.#listen('older', () => this.#loadOlder());
    this.#listen('again', () => this.#again());
    this.#listen('end', () => this.#toEnd());
    this.find('list').addEventListener('click', (event) => this.#act(/** @type {HTMLElement} */ (event.target)));
    this.find('join').addEventListener('submit', (event) => this.#join(event));
  }

  /** What is shown, oldest first. */
  get messages() {
    return this.view?.get().messages ?? [];
  }

  get members() {
    return this.view?.get().members ?? [];
  }

  /** Says something. @param {string} text */
  send(text) {
    this.#scroll.atEnd = true;
    this.#room?.send(text);
  }

  focus() {
    if (this.find('join').hidden) this.#composer.focus();
    else this.find('name').focus();
  }

  properties() {
    return ['roomId', 'username', 'heading', 'history', 'url', 'token'];
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

  heeds() {
    return { message: (/** @type {unknown} */ message) => this.fire('message', message) };
  }

  /** @param {import('../views/room.js').RoomState | null} state */
  draw(state) {
    this.find('title').textContent = this.getAttribute('heading') || this.getAttribute('room-id') || 'Room';
    const nobody = !state || (state.state === 'closed' && !state.user);
    this.find('join').hidden = !nobody;
    for (const id of ['composer', 'typing']) this.find(id).hidden = nobody;
    for (const id of ['state', 'members']) this.find(id).hidden = !state;
    this.find('empty').hidden = !state || state.messages.length > 0 || state.state === 'closed';
    if (!state) return;
    this.#drawState(state);
    this.find('members').textContent = state.onlineCount ? `${state.onlineCount} online` : '';
    this.find('members').title = state.members.map(({ username }) => username).join(', ');
    this.find('older').hidden = !state.hasOlder;
    this.find('typing').textContent = typingWords(state.typingUsers);
    this.#scroll.around(() => this.#rows.draw(state.messages));
    this.#drawEnd();
  }

  /** @param {import('../views/room.js').RoomState} state */
  #drawState({ state, error, degraded }) {
    this.setAttribute('state', state);
    this.find('state').textContent = degraded ? 'Connected, but the server is in trouble' : stateWord(state);
    const problem = error ?? this.#problem;
    if (this.find('why').textContent !== problem) this.find('why').textContent = problem;
    this.find('problem').hidden = !problem;
    this.find('again').textContent = error ? 'Try again' : 'Dismiss';
    if (state === this.#stateTold) return;
    this.#stateTold = state;
    this.#hush();
    this.fire('state', state);
    if (error) this.fire('failure', error);
  }

  #drawEnd() {
    this.find('end').hidden = this.#scroll.atEnd;
  }

  get #room() {
    return this.view instanceof RoomView ? this.view : null;
  }

  /** @param {string} id @param {() => void} act */
  #listen(id, act) {
    this.find(id).addEventListener('click', act);
  }

  #toEnd() {
    this.#scroll.toEnd();
    this.find('log').focus();
  }

  /** @param {HTMLElement} target */
  #act(target) {
    const key = target.closest('li')?.dataset.key;
    const message = this.messages.find((other) => other.key === key);
    if (!message) return;
    const { id = '', clientMessageId = '' } = message;
    if (target.dataset.act === 'edit') this.#composer.edit(message);
    if (target.dataset.act === 'delete') this.#try((view) => view.remove(id)).then(() => this.#composer.focus());
    if (target.dataset.act === 'retry') this.#room?.retry(clientMessageId);
    if (target.dataset.act === 'discard') this.#room?.discard(clientMessageId);
  }

  /** @param {(view: RoomView) => Promise<void>} act @returns {Promise<boolean>} whether it went well */
  async #try(act) {
    try {
      this.#problem = '';
      if (this.#room) await act(this.#room);
      return true;
    } catch (thrown) {
      this.#problem = asHttpError(thrown).message;
      this.refresh();
      return false;
    }
  }

  #loadOlder() {
    this.#hush();
    this.#try((view) => view.loadOlder());
  }

  /** What comes now was said before: it is not read out. */
  #hush() {
    const log = this.find('log');
    log.setAttribute('aria-live', 'off');
    clearTimeout(this.#hushed);
    this.#hushed = setTimeout(() => log.setAttribute('aria-live', 'polite'), HUSH_MS);
  }

  #again() {
    if (this.view?.get().error) this.#room?.reconnect();
    this.#problem = '';
    this.refresh();
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

/** @param {readonly string[]} names */
function typingWords(names) {
  if (!names.length) return '';
  if (names.length > 3) return 'Several people are typing…';
  return `${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} typing…`;
}

reflect(ChatRoom);
