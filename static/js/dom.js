const SVG = 'http://www.w3.org/2000/svg';

/**
 * The element with this id.
 * @param {string} id
 */
export function byId(id) {
  return document.getElementById(id);
}

/**
 * A new element. Text children become text nodes, so nothing a user wrote is ever parsed.
 * @param {string} tag
 * @param {Record<string, unknown>} [attributes] null and false are left out
 * @param {...(Node | string | null)} children
 */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false) continue;
    node.setAttribute(name, value === true ? '' : String(value));
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** @param {string} name of a `<symbol id="icon-…">` in the page */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** A small button that shows an icon only. */
export function iconButton(name, label, onClick) {
  const attributes = { type: 'button', class: 'icon-button', 'aria-label': label, title: label };
  const button = element('button', attributes, icon(name));
  button.addEventListener('click', onClick);
  return button;
}

/**
 * Sets text and hides the element when there is none.
 * @param {HTMLElement} node
 * @param {string} text
 */
export function showText(node, text) {
  node.textContent = text;
  node.hidden = !text;
}

/** The same, but only when it is new, or screen readers hear it again and again. @param {HTMLElement} node @param {string} text */
export function putText(node, text) {
  if (node.textContent !== text) showText(node, text);
}

/**
 * Gives `parent` exactly these children in this order; those that are there already stay untouched,
 * and with them the focus.
 * @param {HTMLElement} parent
 * @param {HTMLElement[]} nodes
 */
export function place(parent, nodes) {
  const keep = new Set(nodes);
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
  let cursor = parent.firstChild;
  for (const node of nodes) {
    if (node === cursor) cursor = cursor.nextSibling;
    else parent.insertBefore(node, cursor);
  }
}
