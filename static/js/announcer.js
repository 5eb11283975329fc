import { byId } from './dom.js';

const TOAST_MS = 2600;
let hiding;

/** Says `text` to screen readers when they are free; shows nothing. @param {string} text */
export function announce(text) {
  byId('announcer').textContent = text;
}

/** Shows `text` for a moment, and says it. @param {string} text */
export function toast(text) {
  const node = byId('toast');
  node.textContent = text;
  node.classList.add('shown');
  clearTimeout(hiding);
  hiding = setTimeout(() => node.classList.remove('shown'), TOAST_MS);
}
