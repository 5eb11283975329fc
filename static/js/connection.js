import { announce } from './announcer.js';
import { byId, showText } from './dom.js';

const WORDS = {
  connecting: 'Connecting…',
  live: 'Live',
  reconnecting: 'Reconnecting…',
  offline: 'You are offline',
  stopped: 'Disconnected',
};

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

function explainStop(reason) {
  return REASONS[reason] ?? [`The server closed the connection (${reason}).`, 'Rejoin'];
}

/** The state of the line to the server, always in view, and said when it changes. */
export class ConnectionLine {
  #name = '';
  #retryAt = 0;
  #closed = '';
  #degraded = '';

  /** @param {{onRejoin: () => void, signal: AbortSignal}} options */
  constructor({ onRejoin, signal }) {
    const ticking = setInterval(() => this.#drawText(), 1000);
    signal.addEventListener('abort', () => clearInterval(ticking));
    byId('rejoin').addEventListener('click', onRejoin, { signal });
    this.show({ name: 'connecting' });
  }

  /** @param {{name: keyof WORDS, retryAt?: number, reason?: string}} state */
  show({ name, retryAt = 0, reason = '' }) {
    const changed = name !== this.#name;
    this.#name = name;
    this.#retryAt = retryAt;
    const known = name === 'stopped' && reason !== 'revoked' && reason !== 'signed-out';
    [this.#closed, byId('rejoin').textContent] = known ? explainStop(reason) : ['', ''];
    byId('connection').dataset.state = name;
    this.#drawText();
    this.#drawBanner();
    if (changed) announce(name === 'stopped' ? '' : WORDS[name]);
  }

  /** @param {{degraded: boolean, reason?: string}} status of the server */
  showStatus({ degraded, reason }) {
    const cause = reason ? ` (${reason})` : '';
    this.#degraded = degraded ? `The server is having trouble${cause}. Messages may arrive late; none is lost.` : '';
    this.#drawBanner();
  }

  #drawText() {
    const seconds = Math.ceil((this.#retryAt - Date.now()) / 1000);
    const counting = seconds > 0 && (this.#name === 'reconnecting' || this.#name === 'offline');
    const words = counting ? `${WORDS[this.#name].replace('…', '')} · next try in ${seconds} s` : WORDS[this.#name];
    const node = byId('connection-text');
    if (node.textContent !== words) node.textContent = words;
  }

  #drawBanner() {
    showText(byId('banner-text'), this.#closed || this.#degraded);
    byId('banner').hidden = !this.#closed && !this.#degraded;
    byId('banner').classList.toggle('stopped', Boolean(this.#closed));
    byId('rejoin').hidden = !this.#closed;
  }
}
