const TRAILING = '.,;:!?…)]}';
const SAFE = /^(?:https?:\/\/|mailto:)[^\s]+$/iu;

/** Finds web addresses in a text; `matchAll` or set `lastIndex`. */
export const ADDRESS = /\bhttps?:\/\/[^\s<>"']+/giu;

/**
 * An address without the punctuation of the sentence around it. A closing bracket belongs to the
 * address when it opens there too, as in Wikipedia's.
 * @param {string} url
 */
export function trimAddress(url) {
  const trimmed = withoutEnd(url, TRAILING);
  return url[trimmed.length] === ')' && trimmed.includes('(') ? `${trimmed})` : trimmed;
}

/** Whether a link may lead there: never `javascript:` or the like. @param {string} url */
export function isSafe(url) {
  return SAFE.test(url);
}

/**
 * A text without those of `signs` that it ends with. A pattern would try at each of them again.
 * @param {string} text @param {string} signs
 */
export function withoutEnd(text, signs) {
  let end = text.length;
  while (end > 0 && signs.includes(text[end - 1])) end -= 1;
  return text.slice(0, end);
}
