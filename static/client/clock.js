/**
 * Time and randomness, passed in so that a test can run a day in a moment.
 * @typedef {{now: () => number, random: () => number, after: (ms: number, run: () => void) => () => void}} Clock
 *   `now` in milliseconds since 1970; `after` returns a function that cancels it
 */

const LONGEST_TIMER_MS = 2 ** 31 - 1; // browsers fire longer timers at once

/** @type {Clock} */
export const CLOCK = {
  now: () => Date.now(),
  random: () => Math.random(),
  after(ms, run) {
    const timer = setTimeout(run, Math.min(ms, LONGEST_TIMER_MS));
    return () => clearTimeout(timer);
  },
};

const CAP_MS = 10_000;

/**
 * Milliseconds before attempt number `attempt` (from 0): `firstMs` doubled each time up to 10 s, less up
 * to half of it at random, so that clients cut off together do not return together.
 * @param {Clock} clock
 * @param {number} attempt
 * @param {number} [firstMs]
 */
export function backoff(clock, attempt, firstMs = 1000) {
  return Math.min(CAP_MS, firstMs * 2 ** Math.min(attempt, 20)) * (0.5 + clock.random() / 2);
}

/** A pause that can be cut short. */
export class Pause {
  #end = () => {};

  /**
   * @param {Clock} clock
   * @param {number} ms
   * @returns {Promise<void>}
   */
  for(clock, ms) {
    return new Promise((resolve) => {
      const cancel = clock.after(ms, resolve);
      this.#end = () => {
        cancel();
        resolve();
      };
    });
  }

  end() {
    this.#end();
  }
}
