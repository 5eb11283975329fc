import { SessionView } from '../views/session.js';
import { make, template } from './build.js';
import { CONTROLS } from './controls-style.js';
import { showTime } from './dates.js';
import { reflect, ViewElement } from './element.js';
import { Rows } from './rows.js';
import { PinnedScroll } from './scroll.js';
import { BASE, stateWord } from './styles.js';

const STYLE = `
:host { display: flex; flex-direction: column; height: 22rem; }
header { display: flex; align-items: center; gap: 8px; min-height: 53px; padding: 8px 10px 8px 16px; border-bottom: 1px solid var(--line); }
.about { flex: 1; min-width: 0; display: flex; flex-wrap: wrap; gap: 0 10px; }
.about .state { white-space: normal; }
.body { flex: 1; min-height: 0; display: grid; }
.body > * { grid-area: 1 / 1; }
#log { min-height: 0; overflow-y: auto; padding: 8px 16px 14px; overflow-anchor: none; }
#log:focus-visible { outline-offset: -3px; }
li { padding: 8px 0; border-bottom: 1px solid var(--line); }
li:last-child { border-bottom: 0; }
.who { display: flex; align-items: baseline; gap: 8px; }
.author { font-size: 13px; font-weight: 650; }
li[data-from="bot"] .author { color: var(--accent); }
.intent { padding: 0 7px; border-radius: 9px; background: var(--raised); color: var(--soft); font-size: 12px; }
.text { white-space: pre-wrap; }
#empty { place-self: center; pointer-events: none; }
`;

const ROW = template(make('li', { part: 'message' },
  make('div', { class: 'who' }, make('span', { class: 'author' }), make('time', { class: 'quiet' }), make('span', { class: 'intent' })),
  make('div', { class: 'text' })));

/** @typedef {import('../views/session.js').SessionMessage} Message */

/**
 * `<message-stream session-id>`: the messages of a session as they arrive, the state of the connection,
 * the number of reconnection attempts, and a button that clears the list. Fires `new-message` with the
 * message, `connected`, `disconnected`, `failure` with a sentence, and `cleared`.
 * @extends {ViewElement<import('../views/session.js').SessionState>}
 */
export class MessageStream extends ViewElement {
  static attributes = ['session-id', 'robot-id', 'reconnect-interval', 'max-reconnect-attempts', 'label'];
  static styles = [BASE, CONTROLS, STYLE];
  static template = template(
    make('header', { part: 'header' },
      make('div', { class: 'about' },
        make('span', { id: 'state', class: 'state', part: 'state', role: 'status' }),
        make('span', { id: 'attempts', class: 'quiet', part: 'attempts', hidden: true })),
      make('button', { id: 'connect', class: 'button small', part: 'connect', type: 'button', hidden: true }, 'Reconnect'),
      make('button', { id: 'clear', class: 'button small', part: 'clear', type: 'button' }, 'Clear'),
    ),
    make('div', { class: 'body' },
      make('div', { id: 'log', part: 'list', role: 'log', tabindex: '0' }, make('ol', { id: 'list' })),
      make('p', { id: 'empty', class: 'quiet', part: 'empty' }, 'No messages yet.')),
  );

  /** @type {Rows<Message>} */
  #rows;
  #scroll;

  constructor() {
    super();
    this.#rows = new Rows(this.find('list'), { key: ({ id }) => String(id), make: makeRow, change: fill });
    this.#scroll = new PinnedScroll(this.find('log'));
    this.find('clear').addEventListener('click', () => this.clear());
    this.find('connect').addEventListener('click', () => this.connect());
  }

  get connected() {
    return this.view?.get().connected ?? false;
  }

  get messages() {
    return this.view?.get().messages ?? [];
  }

  get reconnectAttempts() {
    return this.view?.get().reconnectAttempts ?? 0;
  }

  connect() {
    if (this.view instanceof SessionView) this.view.connect();
  }

  disconnect() {
    if (this.view instanceof SessionView) this.view.disconnect();
  }

  clear() {
    if (!(this.view instanceof SessionView)) return;
    this.view.clear();
    this.fire('cleared');
  }

  properties() {
    return ['sessionId', 'robotId', 'reconnectInterval', 'maxReconnectAttempts', 'label', 'url', 'token'];
  }

  makeView() {
    const text = (/** @type {string} */ name) => this.getAttribute(name) ?? undefined;
    const number = (/** @type {string} */ name) => (this.hasAttribute(name) ? Number(this.getAttribute(name)) : undefined);
    const options = {
      sessionId: text('session-id'),
      robotId: text('robot-id'),
      reconnectInterval: number('reconnect-interval'),
      maxReconnectAttempts: number('max-reconnect-attempts'),
    };
    const { client, view } = this;
    return view instanceof SessionView && view.isOf(client, options) ? view : new SessionView(client, options);
  }

  handlers() {
    return {
      message: (/** @type {unknown} */ message) => this.fire('new-message', message),
      connected: () => this.fire('connected'),
      disconnected: () => this.fire('disconnected'),
      error: (/** @type {unknown} */ error) => this.fire('failure', error),
    };
  }

  /** @param {import('../views/session.js').SessionState | null} state */
  draw(state) {
    if (!state) return;
    const { messages, reconnectAttempts: attempts, error } = state;
    this.setAttribute('state', state.state);
    this.find('state').textContent = error ?? stateWord(state.state, attempts);
    this.find('attempts').hidden = !attempts;
    this.find('attempts').textContent = attempts === 1 ? '1 try' : `${attempts} tries`;
    this.find('connect').hidden = state.state !== 'closed';
    /** @type {HTMLButtonElement} */ (this.find('clear')).disabled = !messages.length;
    this.find('empty').hidden = messages.length > 0;
    this.find('log').setAttribute('aria-label', this.getAttribute('label') ?? 'Messages');
    this.#scroll.during(this.find('list'), () => this.#rows.draw(messages));
  }
}

/** @param {Message} message */
function makeRow(message) {
  const node = /** @type {HTMLElement} */ (ROW.content.firstElementChild?.cloneNode(true));
  fill(node, message);
  return node;
}

/** @param {HTMLElement} node @param {Message} message */
function fill(node, { content, isFromBot, isHuman, intent, createdAt }) {
  const part = (/** @type {string} */ name) => /** @type {HTMLElement} */ (node.querySelector(name));
  node.dataset.from = isFromBot ? 'bot' : 'human';
  part('.author').textContent = isFromBot ? 'Bot' : isHuman ? 'Person' : 'Message';
  showTime(/** @type {HTMLTimeElement} */ (part('time')), createdAt);
  part('.intent').textContent = intent ?? '';
  part('.intent').hidden = !intent;
  part('.text').textContent = content;
}

reflect(MessageStream);
