import { Patience } from './patience.js';
import { sentence } from './sentences.js';
import { Store } from './store.js';

const MOST_ATTEMPTS = 5;
const RELOADING = ['task_updated', 'timeslot_updated', 'client_updated'];

/**
 * @typedef {{id: string, type: string, data: any, sessionId?: string, sourceClientId?: string, timestamp: number}} Notice
 * @typedef {{connected: boolean, reconnectAttempts: number, error: string | null}} NoticesState
 */

/**
 * A user's notifications while the page is visible. Fires `changed` with the last Notice that calls for
 * a reload, once for all that arrive together; echoes of this client's own changes are skipped.
 * @extends {Store<NoticesState>}
 */
export class NoticesView extends Store {
  #client;
  #userId;
  #sessionId;
  /** @type {Patience | null} */
  #patience = null;
  /** @type {Notice | null} */
  #latest = null;

  /** @param {import('../chatrooms.js').Chatrooms} client @param {string} userId @param {string} [sessionId] */
  constructor(client, userId, sessionId) {
    super({ connected: false, reconnectAttempts: 0, error: null });
    this.#client = client;
    this.#userId = userId;
    this.#sessionId = sessionId;
  }

  start() {
    const stream = this.#client.notifications(this.#userId, { sessionId: this.#sessionId, resume: false });
    for (const type of RELOADING) {
      stream.addEventListener(type, (event) => this.#onNotification(/** @type {CustomEvent} */ (event).detail));
    }
    const { clock } = this.#client;
    this.#patience = new Patience(stream, { clock, most: MOST_ATTEMPTS, onState: (state) => this.#onState(state) });
    document.addEventListener('visibilitychange', this.#onVisibility);
    if (document.hidden) this.#patience.pause('hidden');
  }

  stop() {
    document.removeEventListener('visibilitychange', this.#onVisibility);
    this.#patience?.end();
    this.#patience = this.#latest = null;
    this.change({ connected: false });
  }

  #onVisibility = () => {
    if (document.hidden) this.#patience?.pause('hidden');
    else this.#patience?.resume();
  };

  /** @param {Notice} notice */
  #onNotification(notice) {
    if (notice.sourceClientId === this.#client.clientId) return;
    if (!this.#latest) setTimeout(() => this.#tellLatest());
    this.#latest = notice;
  }

  #tellLatest() {
    const notice = this.#latest;
    this.#latest = null;
    if (notice) this.emit('changed', notice);
  }

  /** @param {import('../connection.js').LineState} state */
  #onState({ state, reason }) {
    const connected = state === 'open' || state === 'polling';
    const reconnectAttempts = this.#patience?.attempts ?? 0;
    const error = state === 'closed' && reason !== 'hidden' ? sentence(reason) : null;
    this.change({ connected, reconnectAttempts, error });
  }
}
