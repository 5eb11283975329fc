import { element } from './dom.js';
import { ADDRESS, trimAddress } from './links.js';

/**
 * Nodes for a text, with web addresses as links. Their text content is exactly the text.
 * @param {string} text
 * @returns {DocumentFragment}
 */
export function linked(text) {
  const fragment = document.createDocumentFragment();
  let end = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const url = trimAddress(match[0]);
    fragment.append(text.slice(end, match.index), link(url));
    end = match.index + url.length;
  }
  fragment.append(text.slice(end));
  return fragment;
}

function link(url) {
  return element('a', { href: url, target: '_blank', rel: 'noopener noreferrer nofollow' }, url);
}
