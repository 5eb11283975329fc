const MOST_ENTRIES = 1000;
const MOST_IN_NOTICE = 200;
const LAST_MS = 8.64e15; // the last moment that a Date can hold
const QUESTION = /^\s*@ai(?![\w-])/iu;

/**
 * @typedef {object} Entry
 * @property {string} key stays the same for the life of the entry, also when a pending one is confirmed
 * @property {'message' | 'notice' | 'draft' | 'gap'} kind
 * @property {number} version grows with every change
 * @property {number} timestamp milliseconds since 1970
 */

/**
 * What a room shows, in order: messages and notices of the log, replies being written by the
 * assistant, then own messages that the log has not shown yet. No DOM.
 */
export class Timeline {
  #userId;
  #log = [];
  #drafts = new Map();
  #pending = [];
  #byId = new Map();
  #asked = [];
  #answered = new Set();
  #notices = 0;
  #versions = 0;

  /** @param {string} userId whose messages may be pending */
  constructor(userId) {
    this.#userId = String(userId);
  }

  /** @returns {Entry[]} */
  get entries() {
    return [...this.#log, ...this.#drafts.values(), ...this.#pending];
  }

  /** The oldest message's id, where older history ends. @returns {string | undefined} */
  get oldestId() {
    return this.#log.find((entry) => entry.kind === 'message')?.id;
  }

  /** The newest own message that can be edited. */
  get lastOwn() {
    return this.entries.findLast((entry) => this.isOwn(entry) && entry.id);
  }

  isOwn(entry) {
    return entry.kind === 'message' && String(entry.userId) === this.#userId && !entry.isFromBot;
  }

  /** Messages may be missing behind what there is now. */
  openGap() {
    const entry = { key: `gap-${this.#notices++}`, kind: 'gap', timestamp: this.#log.at(-1)?.timestamp ?? Date.now() };
    this.#change(entry, { trying: false });
    this.#log.push(entry);
  }

  /** @param {{trying: boolean}} change whether the missing ones are asked for at this moment */
  markGaps(change) {
    for (const entry of this.#log) if (entry.kind === 'gap') this.#change(entry, change);
  }

  /** Begins anew with these messages; what is still pending stays. */
  reset(messages) {
    this.#log = [];
    this.#byId.clear();
    this.#drafts.clear();
    this.#asked = [];
    this.#answered.clear();
    for (const message of messages) this.add(message);
  }

  /** A message of the log. @returns {boolean} false when it was known already */
  add(message) {
    const known = this.#byId.has(message.id);
    const pending = this.#takePending(message);
    if (known) return false;
    const entry = pending ?? this.#newMessage(message.id);
    this.#change(entry, { ...confirmed(message), askedBy: this.#askerOf(message) });
    this.#log.push(entry);
    this.#byId.set(entry.id, entry);
    return true;
  }

  /** Older messages, oldest first, in front of the others. */
  prepend(messages) {
    const fresh = messages.filter((message) => !this.#byId.has(message.id));
    const entries = fresh.map((message) => this.#newMessage(message.id, confirmed(message)));
    this.#log.unshift(...entries);
    for (const entry of entries) this.#byId.set(entry.id, entry);
  }

  edit({ messageId, message, editedAt }) {
    const entry = this.#find(messageId);
    if (entry) this.#change(entry, { message, editedAt });
  }

  remove(messageId) {
    const entry = this.#find(messageId);
    if (!entry) return;
    this.#byId.delete(messageId);
    this.#log = this.#log.filter((other) => other !== entry);
    this.#pending = this.#pending.filter((other) => other !== entry);
  }

  /** An own message, shown at once. @param {{clientMessageId: string, message: string, username: string}} message */
  queue(message) {
    const values = { ...message, userId: this.#userId, timestamp: Date.now(), state: 'sending' };
    this.#pending.push(this.#newMessage(message.clientMessageId, values));
  }

  /** The server has it; its place is known when the stream shows it. */
  markSent(clientMessageId, { id, timestamp }) {
    this.#changePending(clientMessageId, { state: 'sent', id, timestamp });
  }

  /** It could not be sent yet; it will be tried again. */
  markDelayed(clientMessageId) {
    this.#changePending(clientMessageId, { state: 'delayed' });
  }

  markFailed(clientMessageId, reason) {
    this.#changePending(clientMessageId, { state: 'failed', reason });
  }

  /** Takes a failed one off the list, to send it again or not at all. */
  unqueue(clientMessageId) {
    this.#pending = this.#pending.filter((entry) => entry.clientMessageId !== clientMessageId);
  }

  /** @param {'joined' | 'left'} what many in a row become one notice */
  notice(what, { userId, username, timestamp }) {
    let entry = this.#log.at(-1);
    if (entry?.kind !== 'notice' || entry.people.length >= MOST_IN_NOTICE) {
      entry = { key: `notice-${this.#notices++}`, kind: 'notice', version: 0, timestamp, people: [] };
      this.#log.push(entry);
    }
    this.#change(entry, { people: [...entry.people, { what, userId, username }] });
  }

  /** A piece of a reply that the assistant writes in the room. */
  chunk({ messageId, chunk, index, isFinal, reset, state, by, position }) {
    if (this.#answered.has(messageId)) return;
    const draft = this.#draft(messageId) ?? this.#newDraft(messageId);
    if (draft.done || (!reset && chunk && index <= draft.index)) return;
    const message = reset ? chunk : draft.message + chunk;
    const place = state === 'queued' ? position : 0;
    this.#change(draft, { message, index, done: Boolean(isFinal), replyState: state, stoppedBy: by, place });
    if (isFinal) this.#settle(draft);
    else this.#drafts.set(messageId, draft);
  }

  /** The next reply is one that this user has asked for. */
  expectReply() {
    this.#asked.unshift(this.#userId);
  }

  /**
   * A reply that has ended takes its place in the log, where its message will follow; for one that
   * was refused none does, and only those who were there know of it.
   */
  #settle(draft) {
    this.#drafts.delete(draft.messageId);
    this.#log.push(draft);
  }

  /** Forgets the oldest beyond a bound. @returns {boolean} whether there were any */
  trim() {
    const surplus = this.#log.splice(0, Math.max(0, this.#log.length - MOST_ENTRIES));
    for (const entry of surplus) this.#byId.delete(entry.id);
    return surplus.length > 0;
  }

  #newMessage(key, values) {
    const entry = { key, kind: 'message' };
    this.#change(entry, values);
    return entry;
  }

  #draft(messageId) {
    const ended = (entry) => entry.kind === 'draft' && entry.messageId === messageId;
    return this.#drafts.get(messageId) ?? this.#log.findLast(ended);
  }

  #newDraft(messageId) {
    const askedBy = this.#asked.shift();
    return { key: messageId, messageId, kind: 'draft', version: 0, timestamp: Date.now(), message: '', index: -1, askedBy };
  }

  /** Who asked for a reply; replies come in the order of their questions, and no event says more. */
  #askerOf({ messageId, isFromBot, userId, message }) {
    if (!isFromBot && QUESTION.test(message)) this.#asked.push(String(userId));
    if (!isFromBot || !messageId) return undefined;
    const draft = this.#draft(messageId);
    this.#drafts.delete(messageId);
    this.#log = this.#log.filter((entry) => entry !== draft);
    this.#answered.add(messageId);
    return draft ? draft.askedBy : this.#asked.shift();
  }

  #find(id) {
    return this.#byId.get(id) ?? this.#pending.find((entry) => entry.id === id);
  }

  #takePending({ clientMessageId, userId }) {
    if (!clientMessageId || String(userId) !== this.#userId) return undefined;
    const index = this.#pending.findIndex((entry) => entry.clientMessageId === clientMessageId);
    return index < 0 ? undefined : this.#pending.splice(index, 1)[0];
  }

  #changePending(clientMessageId, values) {
    const entry = this.#pending.find((other) => other.clientMessageId === clientMessageId);
    if (entry) this.#change(entry, values);
  }

  /** Versions are never used twice, so that what was drawn before a reset is told apart. */
  #change(entry, values) {
    this.#versions += 1;
    Object.assign(entry, values, { version: this.#versions });
  }
}

/**
 * A message of the log; `state` of a reply says how it ended, that of an entry how it was sent. What
 * is no text or no time would keep every other row from being drawn.
 */
function confirmed({ state, ...message }) {
  const { username, message: text, timestamp } = message;
  const at = Math.abs(timestamp) <= LAST_MS ? timestamp : Date.now();
  const shown = { username: String(username ?? ''), message: String(text ?? ''), timestamp: at };
  return { ...message, ...shown, replyState: state, state: 'confirmed' };
}
