const MOST = 1000;
const MOST_IN_NOTICE = 200;
const LAST_MS = 8.64e15; // the latest time that a Date can hold
const QUESTION = /^\s*@ai(?![\w-])/iu;

/**
 * A message as a page shows it. `key` never changes; `state` is `confirmed` (in the log), `sending`,
 * `waiting` (for a retry), `sent` (durable, its place not yet known), `failed`, or `streaming` (a reply
 * being written). For a reply: `replyState` says how it ended if it is incomplete, `stoppedBy` who
 * stopped it, `place` its place in the queue, `askedBy` whose question it answers.
 * @typedef {{kind: 'message', key: string, state: string, id?: string, roomId?: string, userId: string,
 *   username: string, message: string, timestamp: number, own: boolean, isFromBot?: boolean,
 *   clientMessageId?: string, messageId?: string, editedAt?: number, guest?: boolean, replyState?: string,
 *   stoppedBy?: string, place?: number, askedBy?: string, error?: string, index?: number}} Message
 *
 * Consecutive joins and leaves, as one entry.
 * @typedef {{kind: 'notice', key: string, timestamp: number, people: readonly Coming[]}} Notice
 * @typedef {{what: 'joined' | 'left', userId: string, username: string}} Coming
 *
 * A place where messages may be missing; `trying` while they are requested.
 * @typedef {{kind: 'gap', key: string, timestamp: number, trying: boolean}} Gap
 *
 * @typedef {Message | Notice | Gap} Entry
 */

/**
 * What a room shows, in order: the log, replies being written, the user's messages on their way.
 * Entries are replaced, never changed.
 */
export class Timeline {
  userId = '';
  /** Whether the oldest were dropped. */
  trimmed = false;
  /** Whether the user is reading far back: then nothing is dropped. */
  readBack = false;
  /** @type {Entry[]} */
  #log = [];
  /** @type {Map<string, Message>} */
  #replies = new Map();
  /** @type {Message[]} */
  #pending = [];
  #ids = new Set();
  /** @type {string[]} users whose questions wait for a reply */
  #asked = [];
  #answered = new Set();
  #made = 0;

  /** All entries, with notices and gaps. @returns {Entry[]} */
  get entries() {
    return [...this.#log, ...this.#replies.values(), ...this.#pending];
  }

  /** The latest messages without a gap between them. @returns {Message[]} */
  get messages() {
    return /** @type {Message[]} */ (this.entries.slice(this.#start).filter(({ kind }) => kind === 'message'));
  }

  get oldestId() {
    return /** @type {Message | undefined} */ (this.#log.slice(this.#start).find((entry) => 'id' in entry && entry.id))?.id;
  }

  get hasGap() {
    return this.#start > 0;
  }

  /** The index at which the log continues behind its last gap. */
  get #start() {
    return this.#log.map(({ kind }) => kind).lastIndexOf('gap') + 1;
  }

  /** Messages may be missing after the current ones. */
  openGap() {
    const timestamp = this.#log.at(-1)?.timestamp ?? Date.now();
    this.#log.push({ kind: 'gap', key: `gap-${this.#made++}`, timestamp, trying: false });
  }

  /** @param {boolean} trying whether the missing ones are being requested */
  markGaps(trying) {
    this.#log = this.#log.map((entry) => (entry.kind === 'gap' ? { ...entry, trying } : entry));
  }

  /** Starts over with these messages; those on their way stay. @param {any[]} messages */
  reset(messages) {
    this.#log = [];
    this.#replies.clear();
    this.#ids.clear();
    this.#asked = [];
    this.#answered.clear();
    this.trimmed = false;
    for (const message of messages) this.add(message);
  }

  /** Adds a message of the log. @param {any} message @returns {boolean} false if it was already there */
  add(message) {
    if (message.clientMessageId && this.#isOwn(message)) this.unqueue(message.clientMessageId);
    if (this.#ids.has(message.id)) return false;
    this.#ids.add(message.id);
    const askedBy = this.#askerOf(message);
    this.#log.push(this.#confirmed(message, askedBy));
    this.trim();
    return true;
  }

  /** Adds older messages, oldest first; they replace what was before a gap. @param {any[]} messages */
  prepend(messages) {
    for (const entry of this.#log.splice(0, this.#start)) if ('id' in entry) this.#ids.delete(entry.id);
    const fresh = messages.filter(({ id }) => !this.#ids.has(id));
    for (const { id } of fresh) this.#ids.add(id);
    this.#log.unshift(...fresh.map((message) => this.#confirmed(message)));
    this.trimmed = false;
  }

  /** Drops the oldest beyond a limit. @returns {boolean} whether there were any */
  trim() {
    if (this.readBack) return false;
    const dropped = this.#log.splice(0, Math.max(0, this.#log.length - MOST));
    for (const entry of dropped) if ('id' in entry) this.#ids.delete(entry.id);
    this.trimmed ||= dropped.length > 0;
    return dropped.length > 0;
  }

  /** @param {{messageId: string, message: string, timestamp: number}} edit */
  edit({ messageId, message, timestamp }) {
    const change = { message, editedAt: timestamp };
    this.#log = changed(this.#log, 'id', messageId, change);
    this.#pending = changed(this.#pending, 'id', messageId, change);
  }

  /** @param {string} id */
  remove(id) {
    const others = (/** @type {Entry} */ entry) => !('id' in entry) || entry.id !== id;
    this.#log = this.#log.filter(others);
    this.#pending = this.#pending.filter(others);
  }

  /** Adds one of the user's own at once. @param {import('../outbox.js').Draft} draft @param {string} username */
  queue({ clientMessageId, message, sentAt }, username) {
    this.unqueue(clientMessageId);
    const more = { userId: this.userId, username, timestamp: sentAt, own: true, state: 'sending' };
    this.#pending.push({ kind: 'message', key: clientMessageId, clientMessageId, message, ...more });
  }

  /** @param {string} clientMessageId @param {Partial<Message>} change */
  changeQueued(clientMessageId, change) {
    this.#pending = changed(this.#pending, 'clientMessageId', clientMessageId, change);
  }

  /** @param {string} clientMessageId @returns {Message | undefined} the removed message */
  unqueue(clientMessageId) {
    const taken = this.#pending.find((message) => message.clientMessageId === clientMessageId);
    if (taken) this.#pending = this.#pending.filter((message) => message !== taken);
    return taken;
  }

  /** @param {'joined' | 'left'} what @param {{userId: string, username: string, timestamp: number}} who */
  notice(what, { userId, username, timestamp }) {
    const last = this.#log.at(-1);
    const goesOn = last?.kind === 'notice' && last.people.length < MOST_IN_NOTICE;
    const notice = goesOn ? last : { kind: /** @type {const} */ ('notice'), key: `notice-${this.#made++}`, timestamp, people: [] };
    if (goesOn) this.#log.pop();
    this.#log.push({ ...notice, people: [...notice.people, { what, userId, username }] });
    this.trim();
  }

  /**
   * Adds a piece of a reply. A reply that ended without a message of its own, such as a refused one,
   * stays: only those present have seen it.
   * @param {{messageId: string, chunk: string, index: number, isFinal?: boolean, reset?: boolean, state?: string,
   *   by?: string, position?: number}} piece
   */
  chunk({ messageId, chunk, index, isFinal, reset, state, by, position }) {
    const known = this.#replies.get(messageId);
    if (this.#answered.has(messageId) || (!known && this.#ended(messageId))) return;
    if (known && !reset && chunk && index <= (known.index ?? -1)) return;
    const next = {
      ...(known ?? this.#newReply(messageId)), message: reset || !known ? chunk : known.message + chunk, index,
      replyState: state, stoppedBy: by, place: state === 'queued' ? position : 0, state: isFinal ? 'confirmed' : 'streaming',
    };
    this.#replies.delete(messageId);
    if (isFinal) this.#log.push(next);
    else this.#replies.set(messageId, next);
  }

  /** The next reply answers this user. */
  expectReply() {
    this.#asked.unshift(this.userId);
  }

  /** @param {string} messageId @returns {Message} */
  #newReply(messageId) {
    return {
      kind: 'message', key: messageId, messageId, userId: 'assistant', username: 'Assistant', timestamp: Date.now(),
      own: false, isFromBot: true, message: '', state: 'streaming', askedBy: this.#asked.shift(),
    };
  }

  /** A reply that has ended but whose message has not arrived. @param {string} messageId */
  #ended(messageId) {
    return this.#log.find((entry) => entry.kind === 'message' && !entry.id && entry.messageId === messageId);
  }

  /** Who asked for a reply: replies come in the order of their questions, and no event says more. @param {any} message */
  #askerOf({ messageId, isFromBot, userId, message }) {
    if (!isFromBot && QUESTION.test(message)) this.#asked.push(String(userId));
    if (!isFromBot || !messageId) return undefined;
    const draft = this.#replies.get(messageId) ?? this.#ended(messageId);
    this.#replies.delete(messageId);
    if (draft) this.#log = this.#log.filter((entry) => entry !== draft);
    this.#answered.add(messageId);
    return draft?.kind === 'message' ? draft.askedBy : this.#asked.shift();
  }

  /** @param {any} message */
  #isOwn({ userId, isFromBot }) {
    return !isFromBot && String(userId) === this.userId;
  }

  /**
   * An invalid text or time would keep every other row from being drawn.
   * @param {any} message @param {string} [askedBy] @returns {Message}
   */
  #confirmed({ state, ...message }, askedBy) {
    const own = this.#isOwn(message);
    const key = (own && message.clientMessageId) || (message.isFromBot && message.messageId) || message.id;
    const { username, message: text, timestamp } = message;
    const at = Math.abs(timestamp) <= LAST_MS ? timestamp : Date.now();
    const shown = { username: String(username ?? ''), message: String(text ?? ''), timestamp: at };
    return { ...message, ...shown, kind: 'message', key, own, state: 'confirmed', replyState: state, askedBy };
  }
}

/**
 * @template {Entry} E
 * @param {E[]} entries @param {'id' | 'clientMessageId'} name @param {string} value @param {Partial<Message>} change
 * @returns {E[]}
 */
function changed(entries, name, value, change) {
  return entries.map((entry) => (name in entry && /** @type {any} */ (entry)[name] === value ? { ...entry, ...change } : entry));
}
