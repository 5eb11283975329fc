/**
 * A value that can be watched: it runs from its first watcher to its last, so that creating one costs
 * nothing. A snapshot is never changed, only replaced, and only when it differs.
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

  /** The current snapshot. */
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

  /** Called for the first watcher. */
  start() {}

  /** Called after the last one. */
  stop() {}

  /** @param {Partial<T>} part what changed */
  change(part) {
    const known = /** @type {Record<string, unknown>} */ (this.#value);
    if (Object.entries(part).every(([name, value]) => Object.is(known[name], value))) return;
    this.#value = { ...this.#value, ...part };
    for (const watcher of [...this.#watchers]) watcher();
  }

  /** @param {string} type @param {unknown} [detail] */
  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
