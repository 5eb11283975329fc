import { backoff, CLOCK, Pause } from '../client/clock.js';
import { asHttpError } from '../client/http.js';
import { announce } from './announcer.js';
import { meet } from './people.js';

/** How many messages are asked for at a time. */
export const PAGE = 50;
const MOST_HELD = 1000; // events that are remembered while the server gives no messages

/**
 * Reads a room's messages anew where its stream could not go on from where it was. When the server
 * does not give them, a gap is shown and what comes now stands behind it; that is tried again until
 * it is closed, and never joined over.
 */
export class CatchUp {
  #room;
  #timeline;
  #list;
  #apply;
  #signal;
  #held = null;
  #waits = false;
  #pause = new Pause();

  /**
   * @param {{room: import('../client/room.js').Room, timeline: import('./timeline.js').Timeline,
   *   list: import('./messages.js').MessageList, apply: (event: object) => void, signal: AbortSignal}} parts
   *   `apply` shows an event of the log
   */
  constructor({ room, timeline, list, apply, signal }) {
    this.#room = room;
    this.#timeline = timeline;
    this.#list = list;
    this.#apply = apply;
    this.#signal = signal;
    signal.addEventListener('abort', () => this.retry());
  }

  /** @param {object} event of the log @returns {boolean} whether it is shown later */
  hold(event) {
    this.#held?.push(event);
    if (!this.#waits && this.#held?.length > MOST_HELD) this.#held.shift();
    return this.#waits;
  }

  /** Something is missing from here on. */
  async begin() {
    const held = this.#held = [];
    this.#waits = true;
    this.retry();
    const current = () => this.#held === held && !this.#signal.aborted; // else a later one goes on
    for (let tries = 0; ; tries += 1) {
      const { messages, error } = await this.#ask();
      if (!current()) return;
      if (messages) return this.#close(messages);
      this.#leaveOpen();
      await this.#pause.for(CLOCK, error.passing ? Math.max(error.retryAfterMs, backoff(CLOCK, tries)) : Infinity);
      if (!current()) return;
      this.#timeline.markGaps({ trying: true });
      this.#list.update();
    }
  }

  /** Does not wait any longer before the next try. */
  retry() {
    this.#pause.end();
  }

  async #ask() {
    try {
      return await this.#room.history({ limit: PAGE });
    } catch (thrown) {
      return { error: asHttpError(thrown) };
    }
  }

  #close(messages) {
    const held = this.#held;
    this.#held = null;
    this.#waits = false;
    messages.forEach(meet);
    this.#timeline.reset(messages);
    held.forEach(this.#apply);
    this.#list.replaying({ anew: true });
  }

  /** What has come since is shown, behind the gap. */
  #leaveOpen() {
    if (this.#waits) {
      this.#waits = false;
      this.#timeline.openGap();
      announce('Some messages could not be loaded.');
      this.#held.forEach(this.#apply);
    } else this.#timeline.markGaps({ trying: false });
    this.#list.update();
  }
}
