import { announce } from './announcer.js';
import { byId, putText } from './dom.js';

const BRIEF_MS = 3000; // what is over by then is told by the line alone

const WORDS = {
  connecting: 'Connecting…',
  live: 'Live',
  waiting: 'Reconnecting…',
  polling: 'Checking every 2 s',
  offline: 'Offline',
  stopped: 'Disconnected',
};
const HINTS = {
  polling: 'Something in your network holds live streams back, so this page asks for what is new instead.',
};

/** Why a stream waits for its next try, by the library's reason or the server's code. */
const TROUBLES = {
  network: 'The server cannot be reached.',
  silent: 'The connection was lost.',
  ended: 'The connection was lost.',
  held: 'Your network holds live streams back.',
  draining: 'The server is restarting.',
  unavailable: 'The server is having trouble.',
  full: 'The server is full right now.',
  'too-many-streams': 'You have too many tabs open here.',
  'rate-limited': 'You came back too often; the server asks for a pause.',
};
const SLOW = 'Connecting takes longer than usual.';
const KEPT = 'What you write is kept, and sent later.';

/** Why the server closed a stream for good: a sentence, and what the way back is called. */
const REASONS = {
  replaced: ['You opened this room elsewhere, so it is paused here.', 'Rejoin'],
  kicked: ['A moderator removed you from this room.', 'Rejoin'],
  banned: ['You are banned from this room.', 'Try again'],
  private: ['This room is for members only now.', 'Try again'],
  left: ['You gave up your membership of this room.', 'Rejoin'],
  forbidden: ['This room is private. Ask its owner or a moderator for an invite link.', 'Try again'],
  'too-slow': ['Your connection could not keep up with this room.', 'Rejoin'],
};
const SIGN_IN_ENDED = ['revoked', 'signed-out']; // the page goes back to its first screen

/** The state of the line to the server, always in view, and said when it changes. */
export class ConnectionLine {
  #state = { state: 'connecting' };
  #name = '';
  #since = Date.now();
  #wasLive = false;
  #cause = '';

  /** @param {{onRejoin: () => void, onHurry: () => void, signal: AbortSignal}} options */
  constructor({ onRejoin, onHurry, signal }) {
    const ticking = setInterval(() => this.#draw(), 1000);
    signal.addEventListener('abort', () => clearInterval(ticking));
    for (const type of ['online', 'offline']) globalThis.addEventListener(type, () => this.#draw(), { signal });
    byId('rejoin').addEventListener('click', () => (this.#name === 'stopped' ? onRejoin() : onHurry()), { signal });
    this.#draw();
  }

  /** @param {import('../client/views/room.js').RoomState} state */
  show(state) {
    const up = state.state === 'open' || state.state === 'polling';
    if (up || this.#isUp) this.#since = Date.now();
    this.#wasLive ||= up;
    if (up) this.#cause = '';
    else if (state.reason) this.#cause = TROUBLES[state.reason] ?? 'The connection was interrupted.';
    this.#state = state;
    this.#draw();
  }

  get #isUp() {
    return ['open', 'polling'].includes(this.#state.state);
  }

  #draw() {
    const name = nameOf(this.#state);
    byId('connection').dataset.state = name;
    byId('connection').title = HINTS[name] ?? '';
    putText(byId('connection-text'), this.#words(name));
    this.#drawBanner(name);
    if (name !== this.#name && name !== 'stopped') announce(WORDS[name]);
    this.#name = name;
  }

  #words(name) {
    const seconds = Math.ceil((this.#state.retryAt - Date.now()) / 1000);
    if (name === 'waiting') return seconds > 0 ? `Retrying in ${seconds} s` : WORDS.waiting;
    return name === 'connecting' && this.#wasLive ? WORDS.waiting : WORDS[name];
  }

  #drawBanner(name) {
    const [text, way] = this.#trouble(name);
    putText(byId('banner-text'), text);
    putText(byId('rejoin'), way);
    byId('banner').hidden = !text;
    byId('banner').classList.toggle('stopped', name === 'stopped');
    byId('rejoin').hidden = !way;
  }

  /** @returns {string[]} what the banner says, and what its button is called */
  #trouble(name) {
    const { reason, degraded, degradedReason } = this.#state;
    if (name === 'stopped') {
      if (SIGN_IN_ENDED.includes(reason)) return ['', ''];
      return REASONS[reason] ?? [`The server closed the connection (${reason}).`, 'Rejoin'];
    }
    if (this.#isUp || Date.now() - this.#since < BRIEF_MS) return [degraded ? degradedWords(degradedReason) : '', ''];
    const cause = name === 'offline' ? 'You are offline.' : this.#cause || SLOW;
    return [`${cause} ${KEPT}`, name === 'waiting' ? 'Try now' : ''];
  }
}

/** The page's word for a state: the browser knows best whether it is offline. */
function nameOf({ state }) {
  if (state === 'open') return 'live';
  if (state === 'closed') return 'stopped';
  return navigator.onLine ? state : 'offline';
}

function degradedWords(reason) {
  return `The server is having trouble${reason ? ` (${reason})` : ''}. Messages may arrive late; none is lost.`;
}
