import { backoff, Pause } from './clock.js';
import { asHttpError } from './http.js';

const GAP_MS = 2000;

/**
 * Reads by short requests, for a network that holds streams back.
 * @typedef {{events: {event: string, id?: string, data: object}[], more: boolean, lastEventId: string, recovered: boolean}} Page
 */
export class Poller {
  #stopped = false;
  #pause = new Pause();

  /**
   * @param {{ask: () => Promise<Page>, onPage: (page: Page) => void, onFailure: (error: import('./http.js').HttpError) => void,
   *   clock: import('./clock.js').Clock}} options `onFailure` hears of a failure that does not pass; polling ends then
   */
  constructor({ ask, onPage, onFailure, clock }) {
    this.#run(ask, onPage, onFailure, clock);
  }

  stop() {
    this.#stopped = true;
    this.#pause.end();
  }

  /**
   * @param {() => Promise<Page>} ask
   * @param {(page: Page) => void} onPage
   * @param {(error: import('./http.js').HttpError) => void} onFailure
   * @param {import('./clock.js').Clock} clock
   */
  async #run(ask, onPage, onFailure, clock) {
    for (let failures = 0; !this.#stopped; ) {
      let wait = GAP_MS;
      try {
        const page = await ask();
        if (this.#stopped) return;
        onPage(page);
        failures = 0;
        if (page.more) continue;
      } catch (thrown) {
        const error = asHttpError(thrown);
        if (this.#stopped) return;
        if (!error.passing) return onFailure(error);
        wait = Math.max(error.retryAfterMs, backoff(clock, failures++, GAP_MS));
      }
      await this.#pause.for(clock, wait);
    }
  }
}
