import { toast } from './announcer.js';
import { element } from './dom.js';

/**
 * Copies `text` and says so.
 * @param {string} text
 * @param {string} done what to say, as "Link copied"
 */
export async function copy(text, done) {
  const copied = await write(text).catch(() => false);
  toast(copied ? done : 'Your browser did not allow copying');
}

async function write(text) {
  if (!navigator.clipboard) return writeBySelection(text);
  await navigator.clipboard.writeText(text);
  return true;
}

/** `navigator.clipboard` is missing on plain HTTP addresses; the old command still works there. */
function writeBySelection(text) {
  const before = document.activeElement;
  const area = element('textarea', { class: 'sr-only', 'aria-hidden': 'true' });
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  before?.focus();
  return copied;
}
