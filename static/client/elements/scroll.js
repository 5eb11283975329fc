const NEAR_PX = 48;

/** Keeps a list at its end while its reader is there, and what they read in its place while not. */
export class Scroll {
  atEnd = true;
  #box;

  /** @param {HTMLElement} box @param {() => void} onChange the reader has come to the end, or left it */
  constructor(box, onChange) {
    this.#box = box;
    box.addEventListener('scroll', () => {
      const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_PX;
      if (atEnd === this.atEnd) return;
      this.atEnd = atEnd;
      onChange();
    }, { passive: true });
    const resized = new ResizeObserver(() => this.atEnd && this.toEnd());
    for (const watched of [box, ...box.children]) resized.observe(watched); // what is in it grows later, too
  }

  toEnd() {
    this.#box.scrollTop = this.#box.scrollHeight;
  }

  /** @param {() => void} change of the list */
  around(change) {
    const box = this.#box;
    const { top } = box.getBoundingClientRect();
    const read = this.atEnd ? null : rowAt(box, top);
    const before = read?.getBoundingClientRect().top ?? 0;
    change();
    if (this.atEnd) this.toEnd();
    else if (read?.isConnected) box.scrollTop += read.getBoundingClientRect().top - before;
  }
}

/** @param {HTMLElement} box @param {number} top */
function rowAt(box, top) {
  return [...box.querySelectorAll('li')].find((row) => row.getBoundingClientRect().bottom > top);
}
