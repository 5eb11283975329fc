import { make } from './build.js';
import { icon } from './icons.js';

const HUES = 10;
const MOST_NAMED = 3;

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
  return make('span', { class: `avatar ${hueClass(userId)}`, 'aria-hidden': 'true' }, initials(username));
}

/** The assistant's tile, without a user's colour. */
export function assistantAvatar() {
  return make('span', { class: 'avatar assistant-avatar', 'aria-hidden': 'true' }, icon('assistant'));
}

/** A mark beside a guest's name: without a password, anybody may have used that name before. */
export function guestMark() {
  return make('span', { class: 'badge guest', title: 'A guest: nobody has proved that this name is theirs' }, 'guest');
}

/**
 * Names as a phrase, "Ada, Bob, Cy and 4 others", each isolated from the text direction of the others.
 * @param {readonly string[]} names at least one
 * @returns {(Node | string)[]}
 */
export function phrase(names) {
  const named = names.length > MOST_NAMED + 1 ? names.slice(0, MOST_NAMED) : names;
  const others = names.length - named.length;
  /** @type {(Node | string)[]} */
  const items = named.map((name) => make('bdi', {}, name));
  if (others) items.push(`${others} others`);
  return items.flatMap((item, index) => [separator(index, items.length), item]);
}

/** @param {number} index @param {number} length */
function separator(index, length) {
  if (index === 0) return '';
  return index === length - 1 ? ' and ' : ', ';
}

/** @param {string} username */
function initials(username) {
  const words = username.trim().split(/[\s._-]+/u).filter(Boolean);
  const picked = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  return picked.map((word) => [...word][0].toUpperCase()).join('');
}
