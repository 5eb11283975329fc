import { icon } from './icons.js';

/** @typedef {Record<string, string | number | boolean | null | undefined>} Attributes */

/**
 * Makes an element with text, never markup from text: nothing here needs an exception in a page's
 * Content-Security-Policy.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Attributes} [attributes] true for one without a value; false, null and undefined leave it out
 * @param {...(Node | string | null)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value === true ? '' : String(value));
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** A button. @param {Attributes} attributes @param {() => void} act @param {...(Node | string)} children */
export function button(attributes, act, ...children) {
  const node = make('button', { type: 'button', ...attributes }, ...children);
  node.addEventListener('click', act);
  return node;
}

/** A small button that shows an icon only. @param {string} name @param {string} label @param {() => void} act */
export function iconButton(name, label, act) {
  return button({ class: 'icon-button', 'aria-label': label, title: label }, act, icon(name));
}

/**
 * Sets text and hides the element when there is none; does so only for new text, or screen readers
 * would repeat it.
 * @param {HTMLElement} node @param {string} text
 */
export function putText(node, text) {
  if (node.textContent !== text) node.textContent = text;
  node.hidden = !text;
}

/**
 * Gives `parent` exactly these children in this order; existing ones stay untouched, and so does the
 * focus.
 * @param {Element} parent @param {readonly Element[]} nodes
 */
export function place(parent, nodes) {
  const keep = new Set(nodes);
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
  let cursor = parent.firstElementChild;
  for (const node of nodes) {
    if (node === cursor) cursor = cursor.nextElementSibling;
    else parent.insertBefore(node, cursor);
  }
}

/** @param {...Node} nodes to be cloned for each use */
export function template(...nodes) {
  const made = document.createElement('template');
  made.content.append(...nodes);
  return made;
}

/**
 * Adds styles to a shadow root or a page, as a constructed sheet, which no policy blocks. Browsers without
 * those get a `<style>` with the page's nonce.
 * @param {ShadowRoot | Document} root
 * @param {readonly string[]} texts
 */
export function adoptStyles(root, texts) {
  const sheets = texts.map(sheetOf);
  if (sheets.every((sheet) => sheet !== null)) {
    root.adoptedStyleSheets = [...root.adoptedStyleSheets, .../** @type {CSSStyleSheet[]} */ (sheets)];
    return;
  }
  const nonce = document.querySelector('script[nonce]');
  const style = make('style', {}, texts.join('\n'));
  if (nonce instanceof HTMLElement) style.nonce = nonce.nonce;
  if (root instanceof Document) root.head.append(style);
  else root.prepend(style);
}

/** @type {Map<string, CSSStyleSheet>} */
const sheets = new Map(); // one for all elements of a kind

/** @param {string} text */
function sheetOf(text) {
  if (!('adoptedStyleSheets' in Document.prototype && 'replaceSync' in CSSStyleSheet.prototype)) return null;
  let sheet = sheets.get(text);
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(text);
    sheets.set(text, sheet);
  }
  return sheet;
}
