const TRAILING = '.,;:!?…)]}';

/** Finds web addresses in a text; `matchAll` or set `lastIndex`. */
export const ADDRESS = /\bhttps?:\/\/[^\s<>"']+/giu;

/**
 * An address without the punctuation of the sentence around it. A closing bracket belongs to the
 * address when it opens there too, as in Wikipedia's.
 * @param {string} url
 */
export function trimAddress(url) {
  let end = url.length; // not by a pattern, which would try at each of the signs again
  while (end > 0 && TRAILING.includes(url[end - 1])) end -= 1;
  const trimmed = url.slice(0, end);
  return url[end] === ')' && trimmed.includes('(') ? `${trimmed})` : trimmed;
}
