const MOST = 1000;

/**
 * A message as a page shows it. `key` stays the same for its life; `state` is `confirmed` (in the
 * log), `sending`, `waiting` (to be sent again), `sent` (durable, its place not yet known), `failed`,
 * or `streaming` (a reply that is being written). Of a reply: `replyState` says how it ended when it
 * is not whole.
 * @typedef {{key: string, state: string, id?: string, roomId?: string, userId: string, username: string,
 *   message: string, timestamp: number, own: boolean, isFromBot?: boolean, clientMessageId?: string,
 *   messageId?: string, editedAt?: number, guest?: boolean, replyState?: string, error?: string, index?: number}} Message
 */

/**
 * What a room shows, in order: the log, replies that are being written, own messages on their way.
 * Messages and lists are replaced, never changed.
 */
export class Timeline {
  userId = '';
  /** Whether the oldest were dropped. */
  trimmed = false;
  /** @type {Message[]} */
  #log = [];
  /** @type {Message[]} */
  #replies = [];
  /** @type {Message[]} */
  #pending = [];
  #ids = new Set();

  get messages() {
    return [...this.#log, ...this.#replies, ...this.#pending];
  }

  get oldestId() {
    return this.#log.find(({ id }) => id)?.id;
  }

  /** Begins anew with these; what is on its way stays. @param {any[]} messages */
  reset(messages) {
    this.#log = [];
    this.#replies = [];
    this.#ids.clear();
    for (const message of messages) this.add(message);
  }

  /** A message of the log. @param {any} message @returns {boolean} false when it was there */
  add(message) {
    const { clientMessageId, messageId } = message;
    const own = this.#isOwn(message);
    if (own && clientMessageId) this.unqueue(clientMessageId);
    if (this.#ids.has(message.id)) return false;
    const draft = (/** @type {Message} */ other) => Boolean(message.isFromBot && messageId && other.messageId === messageId);
    this.#replies = this.#replies.filter((other) => !draft(other));
    const log = this.#log.filter((other) => other.id || !draft(other));
    this.#ids.add(message.id);
    const dropped = log.splice(0, Math.max(0, log.length + 1 - MOST));
    for (const { id } of dropped) this.#ids.delete(id);
    this.trimmed ||= dropped.length > 0;
    this.#log = [...log, this.#confirmed(message)];
    return true;
  }

  /** Older ones, oldest first. @param {any[]} messages */
  prepend(messages) {
    const fresh = messages.filter(({ id }) => !this.#ids.has(id));
    for (const { id } of fresh) this.#ids.add(id);
    this.#log = [...fresh.map((message) => this.#confirmed(message)), ...this.#log];
  }

  /** @param {{messageId: string, message: string, timestamp: number}} edit */
  edit({ messageId, message, timestamp }) {
    const change = { message, editedAt: timestamp };
    this.#log = changed(this.#log, 'id', messageId, change);
    this.#pending = changed(this.#pending, 'id', messageId, change);
  }

  /** @param {string} id */
  remove(id) {
    this.#log = this.#log.filter((message) => message.id !== id);
    this.#pending = this.#pending.filter((message) => message.id !== id);
  }

  /** An own one, shown at once. @param {import('../outbox.js').Draft} draft @param {string} username */
  queue({ clientMessageId, message, sentAt }, username) {
    this.unqueue(clientMessageId);
    const more = { userId: this.userId, username, timestamp: sentAt, own: true, state: 'sending' };
    this.#pending = [...this.#pending, { key: clientMessageId, clientMessageId, message, ...more }];
  }

  /** @param {string} clientMessageId @param {Partial<Message>} change */
  changeQueued(clientMessageId, change) {
    this.#pending = changed(this.#pending, 'clientMessageId', clientMessageId, change);
  }

  /** @param {string} clientMessageId @returns {Message | undefined} the one that was taken off */
  unqueue(clientMessageId) {
    const taken = this.#pending.find((message) => message.clientMessageId === clientMessageId);
    if (taken) this.#pending = this.#pending.filter((message) => message !== taken);
    return taken;
  }

  /**
   * A piece of a reply. One that ended without a message of its own, as a refused one, stays.
   * @param {{messageId: string, chunk: string, index: number, isFinal?: boolean, reset?: boolean, state?: string}} piece
   */
  chunk({ messageId, chunk, index, isFinal, reset, state }) {
    if (this.#log.some((message) => message.messageId === messageId)) return;
    const known = this.#replies.find((message) => message.messageId === messageId);
    if (known && !reset && chunk && index <= (known.index ?? -1)) return;
    const message = reset || !known ? chunk : known.message + chunk;
    const reply = known ?? {
      key: messageId, messageId, userId: '', username: '', timestamp: Date.now(), own: false, isFromBot: true,
    };
    const next = { ...reply, message, index, replyState: state, state: isFinal ? 'confirmed' : 'streaming' };
    this.#replies = this.#replies.filter((other) => other !== known);
    if (isFinal) this.#log = [...this.#log, next];
    else this.#replies = [...this.#replies, next];
  }

  /** @param {any} message */
  #isOwn({ userId, isFromBot }) {
    return !isFromBot && String(userId) === this.userId;
  }

  /** @param {any} message @returns {Message} */
  #confirmed({ state, ...message }) {
    const own = this.#isOwn(message);
    const key = (own && message.clientMessageId) || (message.isFromBot && message.messageId) || message.id;
    return { ...message, key, own, state: 'confirmed', replyState: state };
  }
}

/** @param {Message[]} messages @param {'id' | 'clientMessageId'} name @param {string} value @param {Partial<Message>} change */
function changed(messages, name, value, change) {
  return messages.map((message) => (message[name] === value ? { ...message, ...change } : message));
}
