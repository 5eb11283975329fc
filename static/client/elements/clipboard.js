import { make } from './build.js';

/** Copies a text; returns whether that was allowed. @param {string} text @returns {Promise<boolean>} */
export async function copyText(text) {
  if (!navigator.clipboard) return copyBySelection(text);
  return navigator.clipboard.writeText(text).then(() => true, () => false);
}

/** On plain HTTP there is no `navigator.clipboard`, but the old command works. @param {string} text */
function copyBySelection(text) {
  const before = document.activeElement;
  const area = make('textarea', { style: 'position: fixed; opacity: 0', 'aria-hidden': 'true' });
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  if (before instanceof HTMLElement) before.focus();
  return copied;
}
