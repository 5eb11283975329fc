// What the parser of assistants' Markdown makes of whole texts, and of texts that are still growing.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parseInline } from './js/markdown-inline.js';
import { parseBlocks } from './js/markdown.js';

const OPEN = { open: true };
const SAMPLE = 'Hi **you**\n\n1. a `b`\n2. c\n   - d\n\n> said\n\n```js\nlet a = 1;\n\nlet b;\n```\n[x](https://a.example)\n';

/** A short form: strong as <strong:…>. */
function inline(text, options) {
  const show = (node) => (node.children ? `<${node.href ?? node.type}:${node.children.map(show).join('')}>`
    : node.type === 'code' ? `<code:${node.text}>` : node.text);
  return parseInline(text, options).map(show).join('');
}

function types(text, options) {
  return parseBlocks(text, options).map(({ type }) => type);
}

test('marks within a line', () => {
  assert.equal(inline('a **b** *c* _d_ ~~e~~ `f*g*`'), 'a <strong:b> <em:c> <em:d> <del:e> <code:f*g*>');
  assert.equal(inline('***x*** **a *b* c**'), '<strong:<em:x>> <strong:a <em:b> c>');
  assert.equal(inline('snake_case_name 2 * 3 * 4 \\*no\\*'), 'snake_case_name 2 * 3 * 4 *no*');
});

test('links lead to the web, and nowhere else', () => {
  assert.equal(inline('[a](https://x.example/p_(q)) b'), '<https://x.example/p_(q):a> b');
  assert.equal(inline('(https://x.example/y).'), '(<https://x.example/y:https://x.example/y>).');
  for (const href of ['javascript:alert(1)', 'JaVaScRiPt:alert(1)', 'data:text/html,x', '//x.example', 'vbscript:x']) {
    assert.ok(!parseInline(`[a](${href})`).some(({ type }) => type === 'link'), href);
  }
});

test('HTML is text', () => {
  assert.deepEqual(parseInline('<img src=x onerror=alert(1)>'), [{ type: 'text', text: '<img src=x onerror=alert(1)>' }]);
});

test('blocks', () => {
  assert.deepEqual(types(SAMPLE), ['paragraph', 'list', 'quote', 'code', 'paragraph']);
  const [, list, , code] = parseBlocks(SAMPLE);
  assert.equal(list.items.length, 2);
  assert.deepEqual(list.items[1].map(({ type }) => type), ['paragraph', 'list']);
  assert.deepEqual([code.language, code.text], ['js', 'let a = 1;\n\nlet b;']);
  assert.deepEqual(types('a\n- b\n---\n## c'), ['paragraph', 'list', 'rule', 'heading']);
});

test('what has not ended is text in the end, and reaches to the end until then', () => {
  assert.equal(inline('a **b'), 'a **b');
  assert.equal(inline('a **b', OPEN), 'a <strong:b>');
  assert.equal(inline('a **b*', OPEN), 'a <strong:b>');
  assert.equal(inline('a `b', OPEN), 'a <code:b>');
  assert.equal(inline('[a](https://x.exa', OPEN), 'a');
  assert.deepEqual(types('a\n```js\nlet', OPEN), ['paragraph', 'code']);
  assert.deepEqual(types('a\n``', OPEN), ['paragraph']);
});

test('no prefix of a text shows a mark of it as text', () => {
  for (let length = 1; length < SAMPLE.length; length += 1) {
    const shown = JSON.stringify(parseBlocks(SAMPLE.slice(0, length), OPEN).map(({ source, ...block }) => block), (key, value) => (
      key === 'source' ? undefined : value
    ));
    assert.ok(!/\*\*|```/.test(shown), `${length}: ${shown}`);
  }
});

test('settled blocks have the same source as before', () => {
  const before = parseBlocks('one\n\ntwo\n\nthr', OPEN).map(({ source }) => source);
  const after = parseBlocks('one\n\ntwo\n\nthree', OPEN).map(({ source }) => source);
  assert.deepEqual(after.slice(0, 2), before.slice(0, 2));
  assert.notEqual(after[2], before[2]);
});

test('hostile texts take no long time', () => {
  const texts = ['*a ', '**a ', '`a ', '[', '[a](', '- ', '> ', '_a', '- a\n\n', '``a`', 'https://', '*a** '];
  for (const text of texts) {
    const started = performance.now();
    parseBlocks(text.repeat(20_000), OPEN);
    parseBlocks(text.repeat(20_000));
    assert.ok(performance.now() - started < 3000, text);
  }
});

test('one long line takes no long time', () => {
  const long = (text, length = 60_000) => text.repeat(length / text.length);
  const texts = {
    heading: `# a${long(' ')}b`, fence: `\`\`\`${long(' ')}\``, item: `- ${long(' ')}\u2028`, marks: `${long('*')}x`,
    address: `https://a${long('.')}x`, addresses: long('xhttps://'), brackets: long('['), labels: `${long('[a')}]`,
    links: `${long('[a](')})`, code: Array.from({ length: 700 }, (_, index) => '`'.repeat(index + 1)).join(' '),
  };
  for (const [name, text] of Object.entries(texts)) {
    const started = performance.now();
    parseBlocks(text, OPEN);
    parseBlocks(text);
    assert.ok(performance.now() - started < 2000, name);
  }
});

test('the signs that end a heading are no part of it', () => {
  const text = (line) => parseBlocks(line)[0].inline.map((node) => node.text).join('');
  assert.deepEqual(['# a ##', '# C#', '#  a  ', '# a # b #'].map(text), ['a', 'C#', 'a', 'a # b']);
});
