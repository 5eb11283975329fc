import { byId, place, putText } from './dom.js';
import { oncePerFrame } from './frames.js';
import { renderRow, updateDraft } from './message-row.js';
import { PinnedScroll } from './pinned-scroll.js';
import { rowsOf } from './rows.js';

const QUIET_MS = 600;
const NEAR_TOP_PX = 400;

/**
 * Shows a timeline: rows that did not change keep their elements, so that screen readers hear only
 * what is new, and the reader's place in the list stays.
 */
export class MessageList {
  #timeline;
  #rights;
  #actions;
  #loadOlder;
  #signal;
  #log = byId('log');
  #list = byId('messages');
  #scroll;
  #drawn = new Map();
  #unseen = 0;
  #drawSoon = oncePerFrame(() => this.#draw());
  #loading = false;
  #complete = false;
  #refused = false;
  #quiet = null;

  /**
   * @param {{timeline: import('./timeline.js').Timeline,
   *   actions: import('./message-row.js').MessageActions,
   *   rights: (entry: object) => {moderates: boolean, asked: boolean},
   *   loadOlder: () => Promise<boolean>, signal: AbortSignal}} options
   *   `loadOlder` puts older messages into the timeline and says whether there are more
   */
  constructor({ timeline, actions, rights, loadOlder, signal }) {
    this.#timeline = timeline;
    this.#rights = rights;
    this.#actions = actions;
    this.#loadOlder = loadOlder;
    this.#signal = signal;
    this.#list.replaceChildren();
    this.#scroll = new PinnedScroll(this.#log, signal);
    this.#log.addEventListener('scroll', () => this.#onScroll(), { signal, passive: true });
    byId('jump').addEventListener('click', () => this.toEnd(), { signal });
    byId('log-top-retry').addEventListener('click', () => this.#fill(), { signal });
    signal.addEventListener('abort', () => clearTimeout(this.#quiet));
    byId('empty').hidden = true;
    this.#sayAtTop('');
  }

  /** Draws soon, once for many changes. @param {{fresh?: number}} [change] messages of others that came in */
  update({ fresh = 0 } = {}) {
    if (!this.#scroll.pinned) this.#unseen += fresh;
    this.#drawSoon();
  }

  /**
   * What comes now is a replay, not to be read out.
   * @param {{anew?: boolean}} [options] whether the timeline was begun anew
   */
  replaying({ anew = false } = {}) {
    this.#hush();
    if (anew) this.#complete = this.#refused = false;
    this.update();
  }

  toEnd() {
    this.#scroll.toEnd();
    this.#showJump();
  }

  #onScroll() {
    this.#showJump();
    this.#fillNearTop();
  }

  #draw() {
    if (this.#signal.aborted) return; // the list shows another room by now
    if (this.#scroll.pinned && this.#timeline.trim()) this.#complete = false;
    const rows = rowsOf(this.#timeline.entries);
    this.#scroll.during(this.#list, () => this.#reconcile(rows));
    byId('empty').hidden = !byId('shut').hidden || rows.some((row) => row.kind === 'message' || row.kind === 'draft');
    if (!this.#loading) this.#sayAtTop(this.#atTop(rows));
    this.#showJump();
    this.#fillNearTop();
  }

  #atTop(rows) {
    if (this.#refused) return 'Older messages could not be loaded.';
    return this.#complete && rows.length ? 'This is where the room begins.' : '';
  }

  #sayAtTop(words) {
    putText(byId('log-top-text'), words);
    byId('log-top-retry').hidden = !this.#refused;
  }

  #reconcile(rows) {
    const keep = new Set(rows.map((row) => row.key));
    for (const key of [...this.#drawn.keys()]) if (!keep.has(key)) this.#drawn.delete(key);
    place(this.#list, rows.map((row) => this.#nodeFor(row)));
  }

  #nodeFor(row) {
    const context = this.#context(row);
    const version = `${row.kind} ${row.entry.version} ${row.first} ${context.moderates} ${context.asked}`;
    const old = this.#drawn.get(row.key);
    if (old?.version === version) return old.node;
    const node = old?.node ?? renderRow(row, context);
    if (old && !updateDraft(node, row.entry)) morph(node, renderRow(row, context));
    this.#drawn.set(row.key, { node, version });
    return node;
  }

  #context({ entry }) {
    return { own: this.#timeline.isOwn(entry), ...this.#rights(entry), actions: this.#actions };
  }

  #fillNearTop() {
    if (this.#loading || this.#complete || this.#refused || !this.#timeline.oldestId) return;
    if (this.#log.scrollTop < NEAR_TOP_PX) this.#fill();
  }

  async #fill() {
    if (this.#loading) return;
    this.#loading = true;
    this.#hush();
    this.#sayAtTop('Loading older messages…');
    try {
      this.#complete = !(await this.#loadOlder());
      this.#refused = false;
    } catch {
      this.#refused = true; // a press tries again; a scroll would, many times a second
    }
    this.#loading = false;
    if (!this.#signal.aborted) this.update();
  }

  #hush() {
    this.#log.setAttribute('aria-live', 'off');
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => this.#log.setAttribute('aria-live', 'polite'), QUIET_MS);
  }

  #showJump() {
    if (this.#scroll.pinned) this.#unseen = 0;
    byId('jump').hidden = this.#scroll.pinned;
    const noun = this.#unseen === 1 ? 'message' : 'messages';
    byId('jump-text').textContent = this.#unseen ? `${this.#unseen} new ${noun}` : 'Jump to latest';
  }
}

/** Gives `node` the look of `next`, keeping the element itself and, where it can, the focus in it. */
function morph(node, next) {
  const label = node.contains(document.activeElement) && document.activeElement.getAttribute('aria-label');
  for (const { name } of [...node.attributes]) if (!next.hasAttribute(name)) node.removeAttribute(name);
  for (const { name, value } of next.attributes) node.setAttribute(name, value);
  node.replaceChildren(...next.childNodes);
  if (label) [...node.querySelectorAll('button')].find((button) => button.getAttribute('aria-label') === label)?.focus();
}
