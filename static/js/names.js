import { element } from './dom.js';

const MOST_NAMED = 3;

/**
 * Names as a phrase, "Ada, Bob, Cy and 4 others", each kept apart from the direction of the others.
 * @param {string[]} names at least one
 * @returns {(Node | string)[]}
 */
export function phrase(names) {
  const named = names.length > MOST_NAMED + 1 ? names.slice(0, MOST_NAMED) : names;
  const others = names.length - named.length;
  const items = named.map((name) => element('bdi', {}, name));
  if (others) items.push(`${others} others`);
  return items.flatMap((item, index) => [separator(index, items.length), item]);
}

/** Beside the name of who came in without a password: anybody may have taken that name before. */
export function guestMark() {
  return element('span', { class: 'badge guest', title: 'A guest: nobody has proved that this name is theirs' }, 'guest');
}

function separator(index, length) {
  if (index === 0) return '';
  return index === length - 1 ? ' and ' : ', ';
}
