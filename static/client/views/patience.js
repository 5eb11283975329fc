/** @typedef {import('../connection.js').LineState} LineState */

/**
 * Watches a stream, counts its attempts to reconnect since it was last open, and closes it after
 * `most` of them with the reason `max-reconnects`; the return of the network resets the count.
 */
export class Patience {
  attempts = 0;
  #paused = false;
  #over = false;
  #cancel = () => {};
  #stream;
  #clock;
  #intervalMs;
  #most;
  #onState;

  /**
   * @param {import('../stream.js').Stream} stream
   * @param {{clock: import('../clock.js').Clock, intervalMs?: number, most?: number,
   *   onState: (state: LineState) => void}} options
   *   `intervalMs`: the minimum time between two attempts; by default the stream's own, which grows
   */
  constructor(stream, { clock, intervalMs = 0, most = Infinity, onState }) {
    this.#stream = stream;
    this.#clock = clock;
    this.#intervalMs = intervalMs;
    this.#most = most;
    this.#onState = onState;
    stream.addEventListener('state', this.#onLineState);
    globalThis.addEventListener?.('online', this.#again);
  }

  /** Ends the stream for good. */
  end() {
    this.#stream.removeEventListener('state', this.#onLineState);
    globalThis.removeEventListener?.('online', this.#again);
    this.#cancel();
    this.#stream.close();
  }

  /** Closes the stream for a while; it will resume from its position. @param {string} reason */
  pause(reason) {
    this.#paused = true;
    this.#shut(reason);
  }

  /** Reopens it and resets the count. */
  resume() {
    this.#paused = false;
    this.attempts = 0;
    this.#open();
  }

  #again = () => {
    if (!this.#paused && this.#over) this.resume();
  };

  #onLineState = () => {
    const { state } = this.#stream;
    if (state.state === 'open' || state.state === 'polling') this.attempts = 0;
    if (state.state === 'waiting') this.#wait(state);
    else this.#onState(state);
  };

  /** @param {LineState} state */
  #wait(state) {
    if (this.attempts >= this.#most) return this.#shut('max-reconnects');
    this.attempts += 1;
    const now = this.#clock.now();
    const retryAt = Math.max(state.retryAt ?? now, now + this.#intervalMs);
    if (this.#intervalMs) {
      this.#close('waiting');
      this.#over = true;
      this.#cancel = this.#clock.after(retryAt - now, () => this.#open());
    }
    this.#onState({ ...state, retryAt });
  }

  /** @param {string} reason */
  #shut(reason) {
    this.#close(reason);
    this.#over = reason === 'max-reconnects';
    this.#onState({ state: 'closed', reason });
  }

  /** Closes it without passing on the stream's own `closed` state. @param {string} reason */
  #close(reason) {
    this.#cancel();
    this.#stream.removeEventListener('state', this.#onLineState);
    this.#stream.close(reason);
    this.#stream.addEventListener('state', this.#onLineState);
  }

  #open() {
    this.#over = false;
    this.#cancel();
    this.#stream.open();
  }
}
