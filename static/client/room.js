import { query } from './http.js';
import { lines } from './line.js';
import { Outbox } from './outbox.js';
import { Stream } from './stream.js';

/** @param {string} roomId */
export function roomPath(roomId) {
  return `/api/rooms/${encodeURIComponent(roomId)}`;
}

/**
 * A room: its stream and its actions. Fires the server's events by their names, and Outbox's
 * `sent`, `delayed` and `failed` for messages on their way.
 */
export class Room extends Stream {
  /** @type {Outbox} */
  outbox;
  #client;
  #extendedWith = '';

  /**
   * @param {import('./chatrooms.js').Chatrooms} client
   * @param {string} roomId
   * @param {{username?: string, history?: number, clientId?: string, resume?: boolean, share?: boolean}} [options]
   */
  constructor(client, roomId, { username, history, clientId = client.clientId, resume = !history, share = true } = {}) {
    const wish = { roomId, username: username ?? client.user?.username, clientId, history };
    const whose = `${roomId}.${client.user?.userId ?? wish.username}`;
    super(client, { name: resume ? whose : undefined, ...lines(client, wish, '/events', wish, share) });
    this.#client = client;
    this.roomId = roomId;
    this.clientId = clientId;
    this.outbox = new Outbox(client, {
      name: whose,
      send: ({ message, clientMessageId }) => this.#post('/messages', { message, clientMessageId, username: wish.username, clientId }),
    });
    for (const type of ['sent', 'delayed', 'failed']) {
      this.outbox.addEventListener(type, (event) => {
        this.dispatchEvent(new CustomEvent(type, { detail: /** @type {CustomEvent} */ (event).detail }));
      });
    }
    this.addEventListener('state', () => this.state.state === 'open' && this.outbox.hurry());
    this.addEventListener('token-expiring', () => this.extend());
  }

  /** Queues a message, which survives being offline. @param {string} message */
  send(message) {
    return this.outbox.add(message);
  }

  /** Tells the others that the user is typing. */
  typing() {
    return this.#post('/typing', { clientId: this.clientId, username: this.#client.user?.username });
  }

  /** Leaves at once, without the grace period for coming back. */
  async leave() {
    this.close('left');
    await this.#post('/leave', { clientId: this.clientId });
  }

  /** @param {{before?: string, after?: string, limit?: number}} [page] @returns {Promise<{messages: any[], hasMore: boolean}>} */
  history(page = {}) {
    return this.#client.json('GET', `${roomPath(this.roomId)}/messages?${query(page)}`);
  }

  /** Extends the server's stream to the end of the current token. */
  async extend() {
    const token = await this.#client.tokens.token();
    if (!token || token === this.#extendedWith || this.state.state === 'closed') return;
    this.#extendedWith = token;
    await this.#client.json('POST', '/api/auth/extend', { body: { clientId: this.clientId } }).catch(() => {
      this.#extendedWith = '';
    });
  }

  poke() {
    super.poke();
    this.outbox.hurry();
  }

  /** @param {string} [reason] */
  close(reason) {
    super.close(reason);
    if (reason === undefined || reason === 'left') this.outbox.close();
  }

  /** @param {string} path @param {object} body */
  #post(path, body) {
    return this.#client.json('POST', roomPath(this.roomId) + path, { body });
  }
}
