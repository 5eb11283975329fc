const NEAR_PX = 48;

/**
 * Keeps a scrolling list where its reader is: at the end while they are at the end, otherwise on the
 * row they are looking at, whatever is inserted above or below it.
 */
export class PinnedScroll {
  #box;
  #pinned = true;

  /** @param {HTMLElement} box the scrolling element @param {AbortSignal} [signal] ends the watching */
  constructor(box, signal) {
    this.#box = box;
    box.addEventListener('scroll', () => { this.#pinned = this.#nearEnd(); }, { signal, passive: true });
    const resized = new ResizeObserver(() => { if (this.#pinned) this.toEnd(); });
    for (const watched of [box, ...box.children]) resized.observe(watched); // its content grows later, too
    signal?.addEventListener('abort', () => resized.disconnect());
  }

  get pinned() {
    return this.#pinned;
  }

  toEnd() {
    this.#pinned = true;
    this.#box.scrollTop = this.#box.scrollHeight;
  }

  /**
   * Runs `change` on the rows of `list` and restores the reader's place.
   * @param {Element} list
   * @param {() => void} change
   */
  during(list, change) {
    const anchor = this.#pinned ? null : this.#firstVisible(list);
    const before = anchor?.getBoundingClientRect().top ?? 0;
    change();
    if (this.#pinned) this.toEnd();
    else if (anchor?.isConnected) this.#box.scrollTop += anchor.getBoundingClientRect().top - before;
  }

  #nearEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#box;
    return scrollHeight - scrollTop - clientHeight < NEAR_PX;
  }

  /** @param {Element} list */
  #firstVisible(list) {
    const { top } = this.#box.getBoundingClientRect();
    return [...list.children].find((row) => row.getBoundingClientRect().bottom > top);
  }
}
