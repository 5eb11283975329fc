import { element } from './dom.js';

const URL_PATTERN = /\bhttps?:\/\/[^\s<>"']+/giu;
const TRAILING = /[.,;:!?…)\]}]+$/u;
const FENCE = /\n*^```[^\n]*\n([\s\S]*?)(?:\n```[ \t]*(?:\n+|$(?![\s\S]))|$(?![\s\S]))/gmu;

/**
 * Nodes for a text, its web addresses as links. Their joined text is exactly the text.
 * @param {string} text
 * @returns {DocumentFragment}
 */
export function linked(text) {
  const fragment = document.createDocumentFragment();
  let end = 0;
  for (const match of text.matchAll(URL_PATTERN)) {
    const url = trimUrl(match[0]);
    fragment.append(text.slice(end, match.index), link(url));
    end = match.index + url.length;
  }
  fragment.append(text.slice(end));
  return fragment;
}

/**
 * Like `linked`, with ``` fences as code blocks; a fence still open reaches to the end.
 * @param {string} text
 * @returns {DocumentFragment}
 */
export function formatted(text) {
  const fragment = document.createDocumentFragment();
  let end = 0;
  for (const match of text.matchAll(FENCE)) {
    fragment.append(linked(text.slice(end, match.index)));
    fragment.append(element('pre', { tabindex: 0 }, element('code', {}, match[1])));
    end = match.index + match[0].length;
  }
  fragment.append(linked(text.slice(end)));
  return fragment;
}

/** A closing bracket belongs to the address when it opens there too, as in Wikipedia's. */
function trimUrl(url) {
  const trimmed = url.replace(TRAILING, '');
  return url[trimmed.length] === ')' && trimmed.includes('(') ? `${trimmed})` : trimmed;
}

function link(url) {
  return element('a', { href: url, target: '_blank', rel: 'noopener noreferrer nofollow' }, url);
}
