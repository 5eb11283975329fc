/**
 * A value that changes, for those who watch it: it runs from the first watcher to the last, so that
 * making one costs nothing. A snapshot is never changed, only replaced, and only when it differs.
 * @template {object} T
 */
export class Store extends EventTarget {
  /** @type {T} */
  #value;
  /** @type {Set<() => void>} */
  #watchers = new Set();

  /** @param {T} value */
  constructor(value) {
    super();
    this.#value = value;
  }

  /** The present snapshot. */
  get = () => this.#value;

  /** @param {() => void} watcher called after each change @returns {() => void} ends it */
  subscribe = (watcher) => {
    const own = () => watcher(); // the same function twice is two watchers
    this.#watchers.add(own);
    if (this.#watchers.size === 1) this.start();
    return () => {
      if (this.#watchers.delete(own) && !this.#watchers.size) this.stop();
    };
  };

  /** The first watcher has come. */
  start() {}

  /** The last one has gone. */
  stop() {}

  /** @param {Partial<T>} part what is different now */
  change(part) {
    const known = /** @type {Record<string, unknown>} */ (this.#value);
    if (Object.entries(part).every(([name, value]) => Object.is(known[name], value))) return;
    this.#value = { ...this.#value, ...part };
    for (const watcher of [...this.#watchers]) watcher();
  }

  /** @param {string} type @param {unknown} [detail] */
  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
