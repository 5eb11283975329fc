/** @typedef {Record<string, string | boolean | undefined>} Attributes */

/**
 * An element with text only, never markup from text: nothing here needs an exception from a page's
 * policy.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Attributes} [attributes] true for one without a value; false and undefined leave it out
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children);
  return node;
}

/** @param {...Node} nodes to be cloned for each use */
export function template(...nodes) {
  const made = document.createElement('template');
  made.content.append(...nodes);
  return made;
}

/**
 * Gives a document or shadow root its styles, by a constructed sheet: no policy stops those. A browser without
 * them gets a `<style>` with the page's nonce.
 * @param {Document | ShadowRoot} root
 * @param {readonly string[]} texts
 */
export function adoptStyles(root, texts) {
  const sheets = texts.map(sheetOf);
  if (sheets.every((sheet) => sheet !== null)) {
    root.adoptedStyleSheets = /** @type {CSSStyleSheet[]} */ (sheets);
    return;
  }
  const nonce = document.querySelector('script[nonce]');
  const style = make('style', {}, texts.join('\n'));
  if (nonce instanceof HTMLElement) style.nonce = nonce.nonce;
  root.prepend(style);
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
