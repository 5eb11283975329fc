import { backoff, Pause } from './clock.js';
import { asHttpError } from './http.js';

const GAP_MS = 2000;

/**
 * @typedef {{events: {event: string, id?: string, data: object}[], more: boolean, lastEventId: string}} Page
 */

/** Reads a stream by polling, for networks that hold streams back. */
export class Poller {
  #stopped = false;
  #pause = new Pause();
  #stream;
  #clock;
  #ask;

  /**
   * @param {import('./stream.js').Stream} stream
   * @param {import('./clock.js').Clock} clock
   * @param {(position: string) => Promise<Page | null>} ask fetches what follows a position; null once it is over
   */
  constructor(stream, clock, ask) {
    this.#stream = stream;
    this.#clock = clock;
    this.#ask = ask;
    this.#run();
  }

  stop() {
    this.#stopped = true;
    this.#pause.end();
  }

  async #run() {
    for (let failures = 0; !this.#stopped; ) {
      let wait = GAP_MS;
      try {
        const page = await this.#ask(this.#stream.position);
        if (this.#stopped) return;
        if (!page) return this.#stream.close('complete');
        failures = 0;
        this.#take(page);
        if (page.more) continue;
      } catch (thrown) {
        const error = asHttpError(thrown);
        if (this.#stopped) return;
        if (!error.passing) return this.#stream.close(error.code);
        wait = Math.max(error.retryAfterMs, backoff(this.#clock, failures++, GAP_MS));
        this.#stream.sayPolled({ state: 'waiting', reason: error.code, retryAt: this.#clock.now() + wait });
      }
      await this.#pause.for(this.#clock, wait);
    }
  }

  /** @param {Page} page */
  #take({ events, lastEventId }) {
    this.#stream.sayPolled({ state: 'polling', reason: 'held', via: 'poll' });
    for (const { event, id, data } of events) this.#stream.receive({ type: event, data: JSON.stringify(data), id });
    this.#stream.reach(lastEventId);
  }
}
