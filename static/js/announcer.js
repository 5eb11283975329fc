import { byId } from './dom.js';

const TOAST_MS = 2600;
let hiding;

/** Reads `text` to screen readers when they are idle; shows nothing. @param {string} text */
export function announce(text) {
  byId('announcer').textContent = text;
}

/** Shows `text` briefly, and reads it to screen readers. @param {string} text */
export function toast(text) {
  const node = byId('toast');
  node.textContent = text;
  node.classList.add('shown');
  clearTimeout(hiding);
  hiding = setTimeout(() => node.classList.remove('shown'), TOAST_MS);
}
