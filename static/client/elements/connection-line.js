import { button, make, putText } from './build.js';

const BRIEF_MS = 3000; // shorter interruptions show in the line only
const TICK_MS = 1000;

/** @type {Record<string, string>} */
const WORDS = {
  connecting: 'Connecting…',
  live: 'Live',
  waiting: 'Reconnecting…',
  polling: 'Checking every 2 s',
  offline: 'Offline',
  stopped: 'Disconnected',
};
const HELD = 'Something in your network blocks live streams, so this page polls for new messages instead.';

/** Why a stream waits for its next attempt, by the library's reason or the server's code. @type {Record<string, string>} */
const TROUBLES = {
  network: 'The server cannot be reached.',
  silent: 'The connection was lost.',
  ended: 'The connection was lost.',
  held: 'Your network blocks live streams.',
  draining: 'The server is restarting.',
  unavailable: 'The server is having trouble.',
  full: 'The server is full right now.',
  'too-many-streams': 'You have too many tabs open here.',
  'rate-limited': 'You reconnected too often; the server asks for a pause.',
};
const SLOW = 'Connecting takes longer than usual.';
const KEPT = 'What you write is kept, and sent later.';
const OPEN_AGAIN = ['replaced', 'kicked', 'left', 'too-slow']; // after others the room may still refuse the user
const SIGN_IN_ENDED = ['revoked', 'signed-out']; // the page that shows the room asks who the user is

/** @typedef {import('../views/room.js').RoomState} RoomState */

/** The state of a room's connection: a `line` that is always in view and announced when it changes; a `banner` while it is down. */
export class ConnectionLine {
  #view;
  #announce;
  #closing = new AbortController();
  /** @type {RoomState} */
  #state;
  #name = '';
  #offline = false;
  #since = Date.now();
  #wasLive = false;
  #cause = '';
  #text = make('span', { id: 'connection-text' }, WORDS.connecting);
  line = make('p', { id: 'connection', class: 'connection', part: 'state', 'data-state': 'connecting' },
    make('span', { class: 'connection-dot', 'aria-hidden': 'true' }), this.#text);
  #bannerText = make('p', { id: 'banner-text' });
  #way = button({ id: 'rejoin', class: 'button small', hidden: true }, () => this.#goBack(), 'Rejoin');
  banner = make('div', { id: 'banner', class: 'banner', part: 'banner', role: 'status', hidden: true }, this.#bannerText, this.#way);

  /** @param {import('../views/room.js').RoomView} view @param {(text: string) => void} announce reads a sentence to screen readers */
  constructor(view, announce) {
    this.#view = view;
    this.#announce = announce;
    this.#state = view.get();
    const { signal } = this.#closing;
    const ticking = setInterval(() => this.#draw(), TICK_MS);
    signal.addEventListener('abort', () => clearInterval(ticking));
    for (const type of ['online', 'offline']) globalThis.addEventListener(type, () => this.#setOffline(type === 'offline'), { signal });
  }

  /** @param {RoomState} state */
  draw(state) {
    const wasUp = this.#isUp;
    if (state.state === 'open' && this.#state.state !== 'open') this.#offline = false;
    this.#state = state;
    if (wasUp || this.#isUp) this.#since = Date.now();
    this.#wasLive ||= this.#isUp;
    if (this.#isUp) this.#cause = '';
    else if (state.unreachable) this.#cause = TROUBLES.network;
    else if (state.reason) this.#cause = TROUBLES[state.reason] ?? 'The connection was interrupted.';
    this.#draw();
  }

  /** Removes it from the page. */
  close() {
    this.#closing.abort();
    this.line.remove();
    this.banner.remove();
  }

  /** The browser notices a lost network long before an open stream falls silent. */
  get #isUp() {
    const { state, unreachable } = this.#state;
    return (state === 'open' || state === 'polling') && !unreachable && !this.#offline;
  }

  /** @param {boolean} offline */
  #setOffline(offline) {
    if (this.#isUp) this.#since = Date.now();
    this.#offline = offline;
    this.#draw();
  }

  /** The key of its word in WORDS. */
  get #nameNow() {
    const { state, unreachable } = this.#state;
    if (state === 'closed') return 'stopped';
    if (this.#offline || (state !== 'open' && !navigator.onLine)) return 'offline';
    if (unreachable && this.#wasLive) return 'waiting';
    return state === 'open' ? 'live' : state;
  }

  #draw() {
    const name = this.#nameNow;
    this.line.dataset.state = name;
    this.line.title = name === 'polling' ? HELD : '';
    putText(this.#text, this.#words(name));
    const [text, way] = this.#trouble(name);
    putText(this.#bannerText, text);
    putText(this.#way, way);
    this.banner.hidden = !text;
    if (name !== this.#name && name !== 'stopped') this.#announce(WORDS[name]);
    this.#name = name;
  }

  /** @param {string} name */
  #words(name) {
    const seconds = Math.ceil(((this.#state.retryAt ?? 0) - Date.now()) / 1000);
    if (name === 'waiting') return seconds > 0 ? `Retrying in ${seconds} s` : WORDS.waiting;
    return name === 'connecting' && this.#wasLive ? WORDS.waiting : WORDS[name];
  }

  /** @param {string} name @returns {string[]} the text of the banner and of its button */
  #trouble(name) {
    const { reason = '', error, degraded, degradedReason } = this.#state;
    if (name === 'stopped') {
      if (SIGN_IN_ENDED.includes(reason)) return ['', ''];
      return [error ?? '', OPEN_AGAIN.includes(reason) ? 'Rejoin' : 'Try again'];
    }
    if (this.#isUp || Date.now() - this.#since < BRIEF_MS) return [degraded ? degradedWords(degradedReason) : '', ''];
    const cause = name === 'offline' ? 'You are offline.' : this.#cause || SLOW;
    return [`${cause} ${KEPT}`, name === 'waiting' ? 'Try now' : ''];
  }

  #goBack() {
    if (this.#state.state === 'closed') this.#view.reconnect();
    else this.#view.hurry();
  }
}

/** @param {string} [reason] */
function degradedWords(reason) {
  return `The server is having trouble${reason ? ` (${reason})` : ''}. Messages may arrive late; none is lost.`;
}
