/** An asynchronous queue for one reader, which ends with the last item put in before `end`. */
export class Queue {
  /** @type {any[]} */
  #items = [];
  #ended = false;
  #wake = (/** @type {any} */ _) => {};

  /** @param {any} item */
  put(item) {
    this.#items.push(item);
    this.#wake(null);
  }

  end() {
    this.#ended = true;
    this.#wake(null);
  }

  /** @returns {AsyncGenerator<any, void>} */
  async *[Symbol.asyncIterator]() {
    while (this.#items.length || !this.#ended) {
      if (this.#items.length) yield this.#items.shift();
      else await new Promise((resolve) => (this.#wake = resolve));
    }
  }
}
