/**
 * The rows of a list, each made once for its key, and changed only when its item is another one.
 * @template {{key: string}} I
 */
export class Rows {
  /** @type {Map<string, {node: HTMLElement, item: I, follows: boolean}>} */
  #rows = new Map();
  #list;
  #make;
  #fill;
  #follows;

  /**
   * @param {HTMLElement} list
   * @param {{make: () => HTMLElement, fill: (node: HTMLElement, item: I, follows: boolean) => void,
   *   follows?: (item: I, before: I) => boolean}} how `follows`: whether a row belongs to the one before
   */
  constructor(list, { make, fill, follows = () => false }) {
    this.#list = list;
    this.#make = make;
    this.#fill = fill;
    this.#follows = follows;
  }

  /** @param {readonly I[]} items */
  draw(items) {
    const keys = new Set(items.map(({ key }) => key));
    for (const [key, { node }] of this.#rows) {
      if (!keys.has(key)) {
        node.remove();
        this.#rows.delete(key);
      }
    }
    let next = this.#list.firstElementChild;
    items.forEach((item, index) => {
      const node = this.#row(item, index > 0 && this.#follows(item, items[index - 1]));
      if (node === next) next = next.nextElementSibling;
      else this.#list.insertBefore(node, next);
    });
  }

  /** @param {I} item @param {boolean} follows */
  #row(item, follows) {
    const row = this.#rows.get(item.key) ?? { node: this.#make(), item: null, follows };
    if (row.item !== item || row.follows !== follows) this.#fill(row.node, item, follows);
    this.#rows.set(item.key, { node: row.node, item, follows });
    return row.node;
  }
}
