import MarkdownIt from '../vendor/markdown-it-15.0.3/markdown-it.esm.min.mjs';
import { make } from './elements/build.js';
import { closesMarks, unfinishedAt } from './unfinished.js';

const DEEPEST = 20; // nested quotes and lists, as in markdown-it's CommonMark preset
const DEEPEST_MARKS = 8; // nested elements within a line: thousands would crash the tab
const LONGEST = 200_000; // characters parsed at once; longer text is shown as it is
const SAFE = /^(?:https?:\/\/|mailto:)\S+$/iu;

const markdown = new MarkdownIt({ html: false, linkify: true, maxNesting: DEEPEST }).use(closesMarks);
markdown.linkify.set({ fuzzyLink: false, fuzzyEmail: false }).add('ftp:', null).add('//', null);
markdown.normalizeLinkText = (url) => url; // as written: look-alike letters stay punycode

/**
 * @typedef {import('markdown-it').Token} Token
 * @typedef {Record<string, {title: string, href: string}>} References
 * @typedef {{language: string, text: string}} Code
 * @typedef {{source: string, start: number, growing: boolean, tokens: Token[], code: Code | null}} Block
 *   `source` is its Markdown, `start` its offset in the whole text; `code` is set for a code block
 * @typedef {{tools?: (read: () => string) => Node}} Options
 *   `tools`: makes a button for the head of a code block, given a function that reads the code
 */

/**
 * Markdown as DOM nodes: CommonMark, tables, strikethrough and bare web addresses. HTML is plain
 * text: only the elements and attributes named in this module are ever created.
 * @param {string} text
 * @param {Options} [options]
 * @returns {DocumentFragment}
 */
export function render(text, options = {}) {
  const fragment = document.createDocumentFragment();
  const blocks = new Blocks();
  blocks.update(text);
  fragment.append(...blocks.all.map((block) => build(block, options)));
  return fragment;
}

/** The blocks of a text. While it grows, only the last one is parsed again. */
export class Blocks {
  /** @type {Block[]} */
  all = [];
  #text = '';
  #settled = 0; // where the text to parse again begins
  /** @type {References} */
  #references = {}; // those of the settled text
  #known = '{}'; // all references, as JSON

  /**
   * @param {string} text the whole text so far
   * @param {{open?: boolean}} [options] `open`: more is to come, so unclosed marks reach to the end
   * @returns {number} how many of the blocks are unchanged
   */
  update(text, { open = false } = {}) {
    const whole = text.replaceAll(/\r\n?/g, '\n');
    const settled = open && whole.startsWith(this.#text) ? this.#countSettled() : 0;
    this.#settle(settled ? this.all[settled].start : 0);
    const references = { ...this.#references };
    const blocks = blocksOf(whole, this.#settled, { open, references });
    const known = JSON.stringify(references);
    const before = known === this.#known ? this.all.slice(settled) : [];
    const changed = blocks.findIndex(({ source, growing }, at) => source !== before[at]?.source || growing !== before[at].growing);
    this.all = this.all.slice(0, settled).concat(blocks);
    this.#text = whole;
    this.#known = known;
    return settled + (changed < 0 ? blocks.length : changed);
  }

  /** It can take two lines to tell what a block is, as with tables; until then it may still join the one before. */
  #countSettled() {
    const lines = this.all[this.all.length - 1]?.source.split('\n', 3).length;
    return Math.max(0, this.all.length - (lines > 2 ? 1 : 2));
  }

  /** Keeps the references of the text that is not parsed again. @param {number} end */
  #settle(end) {
    if (!end) this.#references = {};
    else if (this.#known !== '{}') markdown.parse(this.#text.slice(this.#settled, end), { references: this.#references });
    this.#settled = end;
  }
}

/** @param {string} whole @param {number} from @param {{open: boolean, references: References}} env */
function blocksOf(whole, from, env) {
  const rest = whole.slice(from);
  const text = env.open ? rest.slice(0, unfinishedAt(rest)) : rest;
  if (text.length > LONGEST) return [{ source: text, start: from, growing: env.open, tokens: [], code: null }];
  const lines = [0, ...Array.from(text.matchAll(/\n/g), ({ index }) => index + 1)];
  /** @type {Block[]} */
  const blocks = [];
  let tokens = [];
  for (const token of markdown.parse(text, env)) {
    tokens.push(token);
    if (token.level || token.nesting > 0) continue;
    const [first, end] = tokens[0].map ?? [0, lines.length];
    const source = text.slice(lines[first], lines[end]);
    blocks.push({ source, start: from + lines[first], growing: false, tokens: tooDeep(tokens) ? [] : tokens, code: codeOf(tokens[0]) });
    tokens = [];
  }
  if (env.open && blocks.length) blocks[blocks.length - 1].growing = true;
  return blocks;
}

/** Whether the parser left something out because it was nested too deeply. @param {Token[]} tokens */
function tooDeep(tokens) {
  return tokens.some(({ level, type }) => level >= DEEPEST - 1 && (type === 'blockquote_open' || type === 'list_item_open'));
}

/** @param {Token} token @returns {Code | null} */
function codeOf({ type, info, content }) {
  if (type !== 'fence' && type !== 'code_block') return null;
  return { language: markdown.utils.unescapeAll(info).trim().split(/\s/u, 1)[0], text: content.replace(/\n$/, '') };
}

/** @param {Block} block @param {Options} options @returns {HTMLElement} */
export function build({ tokens, source, growing }, options) {
  if (!tokens.length) return make('p', {}, source);
  const root = make('div');
  fill([root], tokens, { ...options, growing });
  return /** @type {HTMLElement} */ (root.firstChild);
}

/**
 * @param {HTMLElement[]} stack the open elements; new nodes go into the last one
 * @param {Token[]} tokens
 * @param {Options & {growing: boolean}} options
 */
function fill(stack, tokens, options) {
  const base = stack.length;
  for (const token of tokens) {
    const parent = stack[stack.length - 1];
    if (token.nesting > 0) {
      const made = !token.block && stack.length - base >= DEEPEST_MARKS ? null : ELEMENTS[token.type]?.(token);
      if (made) parent.append(made);
      stack.push(/** @type {HTMLElement} */ (made?.firstChild ?? made ?? parent));
    } else if (token.nesting < 0) stack.pop();
    else if (token.type === 'inline') fill([...stack], token.children ?? [], options);
    else parent.append(leaf(token, stack, options));
  }
}

/** @type {Record<string, (token: Token) => HTMLElement | null>} */
const ELEMENTS = {
  paragraph_open: ({ hidden }) => (hidden ? null : make('p')),
  heading_open: ({ tag }) => make('p', { class: 'rich-heading', role: 'heading', 'aria-level': String(Math.min(6, Number(tag[1]) + 3)) }),
  blockquote_open: () => make('blockquote'),
  bullet_list_open: () => make('ul', { role: 'list' }),
  ordered_list_open: (token) => make('ol', { role: 'list', start: attribute(token, 'start') || false }),
  list_item_open: () => make('li'),
  table_open: () => make('div', { class: 'table', role: 'region', 'aria-label': 'Table', tabindex: '0' }, make('table')),
  thead_open: () => make('thead'),
  tbody_open: () => make('tbody'),
  tr_open: () => make('tr'),
  th_open: (token) => make('th', { align: alignOf(token) }),
  td_open: (token) => make('td', { align: alignOf(token) }),
  strong_open: () => make('strong'),
  em_open: () => make('em'),
  s_open: () => make('del'),
  link_open: (token) => link(attribute(token, 'href'), attribute(token, 'title')),
};

/** @param {Token} token @param {string} name */
function attribute(token, name) {
  return String(token.attrGet(name) ?? '');
}

/** @param {Token} token */
function alignOf(token) {
  return /(?:left|center|right)$/.exec(attribute(token, 'style'))?.[0];
}

/** A link to the web or a mailbox; any other link shows its address beside its text. @param {string} href @param {string} title */
function link(href, title) {
  const about = title ? `${title}\n${href}` : href;
  if (!SAFE.test(href)) return make('span', { class: 'no-link', title: about, 'data-href': href });
  return make('a', { href, target: '_blank', rel: 'noopener noreferrer nofollow', title: about });
}

/** @param {Token} token @param {HTMLElement[]} stack @param {Options & {growing: boolean}} options @returns {Node | string} */
function leaf(token, stack, { tools, growing }) {
  const code = codeOf(token);
  if (code) return codeBlock(code, growing, tools);
  if (token.type === 'code_inline') return make('code', {}, token.content);
  if (token.type === 'hr') return make('hr');
  if (token.type === 'hardbreak') return make('br');
  if (token.type === 'softbreak') return '\n';
  if (token.type !== 'image') return token.content;
  const words = markdown.renderer.renderInlineAsText(token.children ?? [], markdown.options, {}) || 'image';
  if (stack.some(({ localName }) => localName === 'a')) return words;
  const image = link(attribute(token, 'src'), attribute(token, 'title'));
  image.classList.add('image');
  image.append(words);
  return image;
}

/** @param {Code} code @param {boolean} growing @param {Options['tools']} tools */
function codeBlock({ language, text }, growing, tools) {
  const code = make('code', {}, text);
  const head = make('div', { class: 'code-head' }, make('span', {}, language || 'code'));
  if (tools) head.append(tools(() => code.textContent ?? ''));
  if (!growing) colour(code, language);
  return make('div', { class: 'code-block' }, head, make('pre', { tabindex: '0', dir: 'ltr' }, code));
}

/** Highlights code once its language has loaded; it is legible without. @param {Element} code @param {string} [language] */
export function colour(code, language) {
  if (language) import('./highlight.js').then(({ highlight }) => highlight(code, language)).catch(() => {});
}
