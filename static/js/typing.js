import { byId } from './dom.js';
import { phrase } from './names.js';

const SHOWN_MS = 4000;
const TELL_EVERY_MS = 3000;

/** Says who else is typing. */
export class TypingLine {
  #node = byId('typing');
  #timers = new Map();

  /** @param {AbortSignal} signal */
  constructor(signal) {
    signal.addEventListener('abort', () => this.clear());
  }

  show(username) {
    clearTimeout(this.#timers.get(username));
    this.#timers.set(username, setTimeout(() => this.hide(username), SHOWN_MS));
    this.#draw();
  }

  hide(username) {
    clearTimeout(this.#timers.get(username));
    if (this.#timers.delete(username)) this.#draw();
  }

  clear() {
    for (const username of [...this.#timers.keys()]) this.hide(username);
  }

  #draw() {
    const names = [...this.#timers.keys()];
    const verb = names.length === 1 ? 'is' : 'are';
    this.#node.replaceChildren(...(names.length ? [...phrase(names), ` ${verb} typing…`] : []));
  }
}

/**
 * Wraps `tell` so that it runs at once and then at most every three seconds.
 * @param {() => void} tell
 */
export function typingNotifier(tell) {
  let toldAt = -Infinity;
  return () => {
    const now = performance.now();
    if (now - toldAt < TELL_EVERY_MS) return;
    toldAt = now;
    tell();
  };
}
