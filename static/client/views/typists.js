const SHOWN_MS = 4000;

/** Who is typing: each for some seconds after the last sign of it. */
export class Typists {
  /** @type {Map<string, () => void>} */
  #cancels = new Map();
  #clock;
  #onChange;

  /** @param {import('../clock.js').Clock} clock @param {(names: string[]) => void} onChange */
  constructor(clock, onChange) {
    this.#clock = clock;
    this.#onChange = onChange;
  }

  /** @param {string} username */
  add(username) {
    const cancel = this.#cancels.get(username);
    cancel?.();
    this.#cancels.set(username, this.#clock.after(SHOWN_MS, () => this.remove(username)));
    if (!cancel) this.#publish();
  }

  /** @param {string} username */
  remove(username) {
    this.#cancels.get(username)?.();
    if (this.#cancels.delete(username)) this.#publish();
  }

  clear() {
    for (const username of [...this.#cancels.keys()]) this.remove(username);
  }

  #publish() {
    this.#onChange([...this.#cancels.keys()]);
  }
}
