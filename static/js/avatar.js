import { element, icon } from './dom.js';

const HUES = 10;

/** The class that gives a user the same colour on every page. @param {string} userId */
export function hueClass(userId) {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(String(userId))) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return `hue-${hash % HUES}`;
}

/**
 * A coloured tile with initials; decoration, so hidden from screen readers.
 * @param {string} userId
 * @param {string} username
 */
export function avatar(userId, username) {
  return element('span', { class: `avatar ${hueClass(userId)}`, 'aria-hidden': 'true' }, initials(username));
}

/** The tile of the assistant, who is nobody's hue. */
export function assistantAvatar() {
  return element('span', { class: 'avatar assistant-avatar', 'aria-hidden': 'true' }, icon('assistant'));
}

function initials(username) {
  const words = username.trim().split(/[\s._-]+/u).filter(Boolean);
  const picked = words.length > 1 ? [words[0], words.at(-1)] : words;
  return picked.map((word) => [...word][0].toUpperCase()).join('');
}
