import { button, make, putText } from './build.js';
import { icon } from './icons.js';
import { changeRow, makeRow } from './message-row.js';
import { Rows } from './rows.js';
import { rowsOf, sameRow } from './room-rows.js';
import { PinnedScroll } from './scroll.js';

const QUIET_MS = 600;
const NEAR_TOP_PX = 400;

/** @typedef {import('../views/room.js').RoomState} RoomState */

/** Shows a room's messages: the reader's place in the list stays, and scrolling up loads older messages. */
export class MessageList {
  #loadOlder;
  #onReadBack;
  #retry = button({ id: 'log-top-retry', class: 'link-button', hidden: true }, () => this.#fill(), 'Try again');
  #top = make('p', { id: 'log-top-text' });
  #list = make('ol', { id: 'messages', class: 'messages' });
  #jumpText = make('span', { id: 'jump-text' });
  #jump = button({ id: 'jump', class: 'jump', hidden: true }, () => this.#toEndByHand(), icon('down'), this.#jumpText);
  #log;
  #empty;
  #scroll;
  /** @type {Rows<import('./room-rows.js').Row>} */
  #rows;
  /** @type {RoomState | null} */
  #state = null;
  #begun = false;
  #unseen = 0;
  #readBack = false;
  #loading = false;
  #refused = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #quiet;

  /**
   * @param {import('./message-row.js').RowParts & {empty: HTMLElement, loadOlder: () => Promise<void>,
   *   onReadBack: (readBack: boolean) => void}} parts
   *   `empty`: shown while nothing has been said; `onReadBack`: the reader left the end, or returned to it
   */
  constructor({ render, actions, empty, loadOlder, onReadBack }) {
    this.#loadOlder = loadOlder;
    this.#onReadBack = onReadBack;
    this.#empty = empty;
    empty.hidden = true;
    const top = make('div', { id: 'log-top', class: 'log-top' }, this.#top, ' ', this.#retry);
    const live = { role: 'log', 'aria-live': 'polite', 'aria-relevant': 'additions' };
    this.#log = make('div', { id: 'log', class: 'log', part: 'log', tabindex: 0, ...live }, top, empty, this.#list);
    this.node = make('div', { class: 'log-frame' }, this.#log, this.#jump);
    this.#rows = new Rows(this.#list, {
      key: ({ key }) => key,
      make: (row) => makeRow(row, { render, actions }),
      change: (node, row) => changeRow(node, row, { render, actions }),
      same: sameRow,
    });
    this.#scroll = new PinnedScroll(this.#log);
    this.#log.addEventListener('scroll', () => this.#onScroll(), { passive: true });
  }

  /** @param {string} label */
  name(label) {
    this.#log.setAttribute('aria-label', label);
  }

  focus() {
    this.#log.focus();
  }

  /** Somebody else's message has arrived. */
  count() {
    if (!this.#scroll.pinned) this.#unseen += 1;
  }

  /** The messages that follow are old: screen readers skip them. */
  hush() {
    this.#begun = true;
    this.#refused = false;
    this.#log.setAttribute('aria-live', 'off');
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => this.#log.setAttribute('aria-live', 'polite'), QUIET_MS);
  }

  toEnd() {
    this.#scroll.toEnd();
    this.#showJump();
  }

  /** @param {RoomState} state */
  draw(state) {
    this.#state = state;
    this.#begun ||= state.state === 'polling';
    const rows = rowsOf(state);
    this.#scroll.during(this.#list, () => this.#rows.draw(rows));
    this.#empty.hidden = !this.#begun || state.state === 'closed' || rows.some(({ kind }) => kind === 'message');
    if (!this.#loading) this.#sayAtTop(this.#atTop(rows.length > 0));
    this.#showJump();
    this.#fillNearTop();
  }

  /** @param {boolean} some */
  #atTop(some) {
    if (this.#refused) return 'Older messages could not be loaded.';
    return this.#begun && some && !this.#state?.hasOlder ? 'This is where the room begins.' : '';
  }

  /** @param {string} words */
  #sayAtTop(words) {
    putText(this.#top, words);
    this.#retry.hidden = !this.#refused;
  }

  #onScroll() {
    this.#showJump();
    this.#fillNearTop();
  }

  /** Loads what is missing in a visible gap. */
  #fillNearTop() {
    const { hasOlder = false, entries = [] } = this.#state ?? {};
    if (this.#loading || this.#refused || !hasOlder || entries.some(({ kind }) => kind === 'gap')) return;
    if (this.#log.clientHeight && this.#log.scrollTop < NEAR_TOP_PX) this.#fill();
  }

  async #fill() {
    if (this.#loading) return;
    this.#loading = true;
    this.hush();
    this.#sayAtTop('Loading older messages…');
    try {
      await this.#loadOlder();
    } catch {
      this.#refused = true; // only a press retries: scrolling would, many times a second
    }
    this.#loading = false;
    if (this.#state && this.#log.isConnected) this.draw(this.#state);
  }

  #toEndByHand() {
    this.toEnd();
    this.focus();
  }

  #showJump() {
    const readBack = !this.#scroll.pinned;
    if (readBack !== this.#readBack) this.#onReadBack((this.#readBack = readBack));
    if (!readBack) this.#unseen = 0;
    this.#jump.hidden = !readBack;
    const noun = this.#unseen === 1 ? 'message' : 'messages';
    this.#jumpText.textContent = this.#unseen ? `${this.#unseen} new ${noun}` : 'Jump to newest';
  }
}
