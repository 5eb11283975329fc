// Each example of CommonMark 0.31.2, rendered, and written as the HTML that the specification expects.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import './dom.mjs';
import { render } from '../client/markdown.js';

const EXAMPLES = JSON.parse(readFileSync(process.env.COMMONMARK, 'utf8'));

// What we do otherwise, and why: 75 of 652.
const OTHERWISE = {
  'HTML is text': [
    21, 31, ...range(148, 191), 201, 308, 309, 344, 475, 476, 477, 491, 494, 524, 536, ...range(613, 617), 623, ...range(625, 631), 642, 643,
  ],
  'addresses of the web are links without angle brackets, too': [602, 608, 611],
};

function range(first, last) {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

const BLOCKS = /\s*(<\/?(?:blockquote|h[1-6]|hr|li|ol|p|pre|ul)\b[^>]*>)\s*/g;

/** Without the white space between blocks; a heading below the second is the deepest that the page has. */
function normal(html) {
  return html.replace(BLOCKS, '$1').replace(/(<\/?h)[3-6]/g, '$13').trim();
}

function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

function tag(name, attributes, children) {
  const written = Object.entries(attributes).filter(([, value]) => value != null).map(([key, value]) => ` ${key}="${escaped(value)}"`);
  return children === undefined ? `<${name}${written.join('')} />` : `<${name}${written.join('')}>${children}</${name}>`;
}

/** Undoes what is of our page: the head of code, headings as paragraphs, images as links. */
function html(node) {
  if (node.data !== undefined) return escaped(node.data);
  const { localName: name } = node;
  const get = (key) => node.getAttribute?.(key) ?? null;
  const inner = node.childNodes.map(html).join('');
  if (name === undefined) return inner;
  const words = get('class')?.split(' ') ?? [];
  if (words.includes('code-head')) return '';
  if (words.includes('code-block')) return codeOf(node, inner);
  if (words.includes('rich-heading')) return tag(`h${Number(get('aria-level')) - 3}`, {}, inner);
  if (name === 'br') return '<br />\n';
  if (name === 'hr') return '<hr />';
  if (name === 'ol') return tag('ol', { start: get('start') }, inner);
  if (name !== 'a' && name !== 'span') return tag(name, {}, inner);
  const href = get('href') ?? get('data-href');
  const title = get('title') === href ? null : get('title').slice(0, -href.length - 1);
  if (!words.includes('image')) return tag('a', { href, title }, inner);
  return tag('img', { src: href, alt: node.textContent === 'image' ? '' : node.textContent, title });
}

function codeOf(block) {
  const [head, { firstChild: code }] = block.childNodes;
  const language = head.firstChild.textContent;
  const text = code.textContent && `${code.textContent}\n`;
  return tag('pre', {}, tag('code', { class: language === 'code' ? null : `language-${language}` }, escaped(text)));
}

test('the examples of CommonMark', () => {
  const others = EXAMPLES.filter(({ markdown, html: expected }) => normal(html(render(markdown))) !== normal(expected));
  assert.deepEqual(others.map(({ number }) => number), Object.values(OTHERWISE).flat().sort((a, b) => a - b));
});
