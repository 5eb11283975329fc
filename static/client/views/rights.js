const TRUSTED = ['service', 'admin'];

/** What the user may do in a room, as the server says when asked and as its refusals show. */
export class Rights {
  #client;
  #path;
  #change;
  #slowMs = 0;

  /**
   * @param {import('../chatrooms.js').Chatrooms} client
   * @param {string} path of the room
   * @param {(part: Partial<import('./room-state.js').RoomState>) => void} change
   */
  constructor(client, path, change) {
    this.#client = client;
    this.#path = path;
    this.#change = change;
  }

  /** Fetches the room's title and rules, which no event carries. @returns {Promise<any>} null if unreadable */
  async refresh() {
    const room = await this.#client.json('GET', this.#path).catch(() => null);
    if (!room) return null;
    const moderates = TRUSTED.includes(this.#client.user?.role ?? '') || ['owner', 'moderator'].includes(room.role);
    this.#slowMs = moderates ? 0 : (room.slowMode ?? 0) * 1000;
    this.#change({ room, moderates });
    return room;
  }

  /** A message is on its way: slow mode refuses the user's next one for a while. */
  sent() {
    if (this.#slowMs) this.#pause(this.#slowMs);
  }

  /** @param {import('../http.js').HttpError} error of a call */
  learn({ code, retryAfterMs }) {
    if (code === 'muted') this.#change({ muted: true });
    if (code !== 'slow-mode') return;
    this.#pause(retryAfterMs);
    this.refresh();
  }

  /** @param {number} ms */
  #pause(ms) {
    this.#change({ pausedUntil: this.#client.clock.now() + ms });
  }
}
