const TRAILING = /[.,;:!?…)\]}]+$/u;
const SAFE = /^(?:https?:\/\/|mailto:)[^\s]+$/iu;

/** Finds web addresses in a text; `matchAll` or set `lastIndex`. */
export const ADDRESS = /\bhttps?:\/\/[^\s<>"']+/giu;

/**
 * An address without the punctuation of the sentence around it. A closing bracket belongs to the
 * address when it opens there too, as in Wikipedia's.
 * @param {string} url
 */
export function trimAddress(url) {
  const trimmed = url.replace(TRAILING, '');
  return url[trimmed.length] === ')' && trimmed.includes('(') ? `${trimmed})` : trimmed;
}

/** Whether a link may lead there: never `javascript:` or the like. @param {string} url */
export function isSafe(url) {
  return SAFE.test(url);
}
