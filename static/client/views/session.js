import { Patience } from './patience.js';
import { sentence } from './sentences.js';
import { Store } from './store.js';

const MOST_MESSAGES = 1000;
export const INTERVAL_MS = 3000;
export const MOST_ATTEMPTS = 10;

/**
 * A message of a session, as POST /api/messages returns it.
 * @typedef {{id: string | number, sessionId: string, content: string, isFromBot: boolean, isHuman: boolean,
 *   intent: string | null, robotId: string | null, createdAt: string}} SessionMessage
 *
 * @typedef {object} SessionState
 * @property {boolean} connected
 * @property {import('../connection.js').LineState['state']} state
 * @property {readonly SessionMessage[]} messages since it was opened or cleared, oldest first
 * @property {string | null} error for a person
 * @property {number} reconnectAttempts since it was last connected
 *
 * @typedef {{sessionId?: string, robotId?: string, reconnectInterval?: number, maxReconnectAttempts?: number}} SessionOptions
 *   `reconnectInterval` in milliseconds
 */

/**
 * The messages of a session, or of all sessions for users who may read them. Fires `message`,
 * `connected`, `disconnected` and `error`.
 * @extends {Store<SessionState>}
 */
export class SessionView extends Store {
  #client;
  #options;
  /** @type {import('../stream.js').Stream | null} */
  #stream = null;
  /** @type {Patience | null} */
  #patience = null;
  #watched = false;

  /** @param {import('../chatrooms.js').Chatrooms} client @param {SessionOptions} options */
  constructor(client, options) {
    super({ connected: false, state: 'connecting', messages: [], error: null, reconnectAttempts: 0 });
    this.#client = client;
    this.#options = options;
  }

  /** Whether these arguments give the same view. @param {import('../chatrooms.js').Chatrooms} client @param {SessionOptions} options */
  isOf(client, options) {
    return client === this.#client && JSON.stringify(options) === JSON.stringify(this.#options);
  }

  start() {
    this.#watched = true;
    this.connect();
  }

  stop() {
    this.#watched = false;
    this.disconnect();
  }

  connect = () => {
    if (!this.#watched) return;
    if (this.get().state === 'closed') this.disconnect();
    if (this.#stream) return;
    const { sessionId, robotId, reconnectInterval = INTERVAL_MS, maxReconnectAttempts = MOST_ATTEMPTS } = this.#options;
    const stream = this.#client.session(sessionId, { robotId, resume: false });
    stream.addEventListener('message', (event) => this.#add(/** @type {CustomEvent} */ (event).detail));
    stream.addEventListener('error', (event) => this.#fail(/** @type {CustomEvent} */ (event).detail.error));
    this.#stream = stream;
    this.#patience = new Patience(stream, {
      clock: this.#client.clock,
      intervalMs: reconnectInterval,
      most: maxReconnectAttempts,
      onState: (state) => this.#onState(state),
    });
    this.change({ state: 'connecting', error: null, reconnectAttempts: 0 });
  };

  disconnect = () => {
    const { connected } = this.get();
    this.#patience?.end();
    this.#patience = this.#stream = null;
    this.change({ connected: false, state: 'closed' });
    if (connected) this.emit('disconnected');
  };

  clear = () => {
    this.change({ messages: [] });
  };

  /** @param {SessionMessage} message */
  #add(message) {
    this.change({ messages: [...this.get().messages, message].slice(-MOST_MESSAGES) });
    this.emit('message', message);
  }

  /** @param {import('../connection.js').LineState} state */
  #onState({ state, reason }) {
    const before = this.get().connected;
    const connected = state === 'open' || state === 'polling';
    const reconnectAttempts = this.#patience?.attempts ?? 0;
    this.change({ state, connected, reconnectAttempts, ...(connected && { error: null }) });
    if (connected && !before) this.emit('connected');
    if (!connected && before) this.emit('disconnected');
    if (state === 'closed') this.#fail(sentence(reason));
  }

  /** @param {string} error */
  #fail(error) {
    this.change({ error });
    this.emit('error', error);
  }
}
