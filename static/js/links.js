const TRAILING = '.,;:!?…)]}';

/** Matches web addresses in a text; use `matchAll` or set `lastIndex`. */
export const ADDRESS = /\bhttps?:\/\/[^\s<>"']+/giu;

/**
 * An address without the punctuation of the sentence around it. A closing bracket belongs to the
 * address if it was opened there too, as in Wikipedia's.
 * @param {string} url
 */
export function trimAddress(url) {
  let end = url.length; // not by a pattern, which would retry at each character
  while (end > 0 && TRAILING.includes(url[end - 1])) end -= 1;
  const trimmed = url.slice(0, end);
  return url[end] === ')' && trimmed.includes('(') ? `${trimmed})` : trimmed;
}
