import { make } from './elements/build.js';

/** @typedef {import('./markdown.js').Block} Block */
/** @typedef {{block: Block, node: HTMLElement}} Shown */

const MANY = 50; // blocks

/** @type {typeof import('./markdown.js') | null} */
let library = null; // about 140 KB, which a page without replies does not need
/** @type {Promise<void> | null} */
let loading = null;

/**
 * Shows Markdown and grows in place: unchanged blocks keep their elements, and with them the
 * reader's selection and focus. Until the parser has loaded it shows plain text.
 */
export class RichText {
  /** @type {Shown[]} */
  #shown = [];
  /** @type {import('./markdown.js').Blocks | null} */
  #blocks = null;
  #tools;
  #text = '';
  #open = false;

  /**
   * @param {string} [text]
   * @param {{open?: boolean, tools?: (read: () => string) => Node}} [options]
   *   `open`: more is to come; `tools`: a button for the head of a code block
   */
  constructor(text = '', { open = false, tools } = {}) {
    this.node = make('div', { class: 'rich' });
    this.#tools = tools;
    this.update(text, { open });
  }

  /** @param {string} text the whole text so far @param {{open?: boolean}} [options] */
  update(text, { open = false } = {}) {
    this.#text = text;
    this.#open = open;
    this.node.classList.toggle('growing', open);
    if (library) this.#draw(library);
    else {
      this.node.replaceChildren(make('p', { hidden: !text }, text));
      loading ??= import('./markdown.js').then((module) => { library = module; }, () => { loading = null; });
      loading.then(() => library && this.#draw(library));
    }
  }

  /** @param {typeof import('./markdown.js')} markdown */
  #draw({ Blocks, build, colour }) {
    if (!this.#blocks) this.node.replaceChildren();
    this.#blocks ??= new Blocks();
    const kept = this.#blocks.update(this.#text, { open: this.#open });
    const blocks = this.#blocks.all.slice(kept);
    const old = this.#shown.splice(kept);
    const code = old.length && blocks.length ? extended(old[0], blocks[0]) : null;
    if (code) {
      const [block] = blocks.splice(0, 1);
      this.#shown.push({ block, node: old.splice(0, 1)[0].node });
      if (!block.growing) colour(code, block.code?.language);
    }
    if (blocks.length > MANY) this.node.removeAttribute('dir'); // Chromium would determine it for each of them
    for (const { node } of old) node.remove();
    const added = blocks.map((block) => ({ block, node: build(block, { tools: this.#tools }) }));
    this.node.append(...added.map(({ node }) => node));
    this.#shown.push(...added);
    this.node.dir ||= 'auto';
  }
}

/** Code that only grew keeps its element, so the reader keeps their place in it. @param {Shown} shown @param {Block} block */
function extended({ block: { code: before, growing }, node }, { code }) {
  if (!growing || !before || before.language !== code?.language || !code.text.startsWith(before.text)) return null;
  const element = node.querySelector('code');
  element?.append(code.text.slice(before.text.length));
  return element;
}
