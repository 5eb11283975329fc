import { backoff, Pause } from '../clock.js';
import { asHttpError } from '../http.js';
import { Timeline } from './timeline.js';

const MOST_HELD = 1000; // events kept while the server returns no messages
const PAGE = 50;

/**
 * A room's messages as far as they were read. If the stream could not resume from its position they are
 * read again. If the server does not return them, a gap is shown with new messages behind it; it is
 * retried until it is closed, and never papered over.
 */
export class RoomLog {
  timeline = new Timeline();
  #parts;
  /** @type {(() => void)[] | null} changes since something went missing */
  #held = null;
  #waits = false;
  #pause = new Pause();
  #loading = false;
  /** As the server said; until then, what the number of messages suggests. @type {boolean | null} */
  #hasOlder = null;

  /**
   * @typedef {{messages: any[], hasMore: boolean}} Page
   * @param {{clock: import('../clock.js').Clock, history: number,
   *   ask: (page: {before?: string, limit: number}) => Promise<Page>, onReplay: () => void, onGap: () => void,
   *   onChange: (part: Pick<import('./room.js').RoomState, 'entries' | 'messages' | 'hasOlder'>) => void}} parts
   *   `history`: messages to start with; `onReplay`: they were read again; `onGap`: they cannot be now
   */
  constructor(parts) {
    this.#parts = parts;
  }

  /** Applies the user's own change at once. @param {(timeline: Timeline) => void} change */
  change(change) {
    change(this.timeline);
    this.show();
  }

  /** Applies a change from the stream, now or when it is due. @param {() => void} change */
  apply(change) {
    this.#held?.push(change);
    if (this.#waits) return;
    if (this.#held && this.#held.length > MOST_HELD) this.#held.shift();
    this.change(change);
  }

  show() {
    const { entries, messages, trimmed, hasGap } = this.timeline;
    const hasOlder = trimmed || hasGap || (this.#hasOlder ?? messages.length >= this.#parts.history);
    this.#parts.onChange({ entries, messages, hasOlder });
  }

  /** Something is missing from here on. */
  async begin() {
    /** @type {(() => void)[]} */
    const held = (this.#held = []);
    this.#waits = true;
    this.fillGap();
    for (let tries = 0; ; tries += 1) {
      const { page, error } = await this.#ask();
      if (this.#held !== held) return; // a later call continues, or nothing is missing any more
      if (page) return this.#close(page);
      this.#leaveOpen();
      const { clock } = this.#parts;
      await this.#pause.for(clock, error.passing ? Math.max(error.retryAfterMs, backoff(clock, tries)) : Infinity);
      if (this.#held !== held) return;
      this.change((timeline) => timeline.markGaps(true));
    }
  }

  /** Retries now to load what is missing. */
  fillGap() {
    this.#pause.end();
  }

  /** Nothing is missing any more, or nobody needs it. */
  end() {
    this.#held = null;
    this.#waits = false;
    this.fillGap();
  }

  /** Puts older messages in front, or into the last gap. @throws {import('../http.js').HttpError} */
  async loadOlder() {
    const { timeline } = this;
    const before = timeline.oldestId;
    if (timeline.hasGap && !before) this.fillGap();
    else if (!this.#loading) {
      this.#loading = true;
      const asked = this.#parts.ask({ before, limit: PAGE });
      const { messages, hasMore } = await asked.finally(() => (this.#loading = false));
      if (timeline.oldestId !== before) return; // before what is shown now they would leave a hole
      if (timeline.hasGap) this.end();
      this.#hasOlder = hasMore;
      this.change(() => timeline.prepend(messages));
    }
  }

  /** The user started or stopped reading far back. @param {boolean} readBack */
  keepOlder(readBack) {
    this.timeline.readBack = readBack;
    if (this.timeline.trim()) this.show();
  }

  /** @returns {Promise<{page: Page, error: null} | {page: null, error: import('../http.js').HttpError}>} */
  async #ask() {
    try {
      return { page: await this.#parts.ask({ limit: this.#parts.history || PAGE }), error: null };
    } catch (thrown) {
      return { page: null, error: asHttpError(thrown) };
    }
  }

  /** @param {Page} page */
  #close({ messages, hasMore }) {
    const held = this.#held ?? [];
    this.end();
    this.#hasOlder = hasMore;
    this.timeline.reset(messages);
    for (const change of held) change();
    this.#parts.onReplay();
    this.show();
  }

  /** Shows the changes since then, behind the gap. */
  #leaveOpen() {
    if (this.#waits) {
      this.#waits = false;
      this.timeline.openGap();
      for (const change of this.#held ?? []) change();
      this.#parts.onGap();
    } else this.timeline.markGaps(false);
    this.show();
  }
}
