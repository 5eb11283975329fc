import { place } from './build.js';

/**
 * The rows of a list, each made once per key and changed only when its item changes, so that screen
 * readers read only what is new, and the focus stays.
 * @template I
 */
export class Rows {
  /** @type {Map<string, {node: HTMLElement, item: I}>} */
  #rows = new Map();
  #list;
  #how;

  /**
   * @param {Element} list
   * @param {{key: (item: I) => string, make: (item: I) => HTMLElement, change: (node: HTMLElement, item: I) => void,
   *   same?: (item: I, before: I) => boolean}} how `same`: whether they look the same
   */
  constructor(list, how) {
    this.#list = list;
    this.#how = how;
  }

  /** @param {readonly I[]} items */
  draw(items) {
    const before = this.#rows;
    this.#rows = new Map(items.map((item) => [this.#how.key(item), this.#row(item, before.get(this.#how.key(item)))]));
    place(this.#list, [...this.#rows.values()].map(({ node }) => node));
  }

  /** @param {I} item @param {{node: HTMLElement, item: I}} [known] */
  #row(item, known) {
    const { make, change, same = Object.is } = this.#how;
    if (!known) return { node: make(item), item };
    if (!same(item, known.item)) change(known.node, item);
    return { node: known.node, item };
  }
}
