// What the renderer of Markdown makes of whole texts, and of texts that are still growing.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { depth, elements } from './dom.mjs';
import { Blocks, build, render } from '../client/markdown.js';

const OPEN = { open: true };
const SAMPLE = 'Hi **you**\n\n1. a `b`\n2. c\n   - d\n\n> said\n\n```js\nlet a = 1;\n\nlet b;\n```\n[x](https://a.example)\n';
const TYPES = { P: 'paragraph', OL: 'list', UL: 'list', BLOCKQUOTE: 'quote', DIV: 'code', HR: 'rule' };

function nodes(text, options) {
  const blocks = new Blocks();
  blocks.update(text, options);
  return blocks.all.map((block) => build(block, {}));
}

/** A short form: strong as <strong:…>. */
function inline(text, options) {
  const show = (node) => node.data ?? `<${node.getAttribute('href') ?? node.localName}:${node.childNodes.map(show).join('')}>`;
  return nodes(text, options).flatMap(({ childNodes }) => childNodes).map(show).join('');
}

function typeOf(node) {
  return node.getAttribute('class') === 'rich-heading' ? 'heading' : TYPES[node.localName.toUpperCase()];
}

function types(text, options) {
  return nodes(text, options).map(typeOf);
}

function links(text) {
  return [...elements(render(text))].filter(({ localName }) => localName === 'a').map((node) => node.getAttribute('href'));
}

test('marks within a line', () => {
  assert.equal(inline('a **b** *c* _d_ ~~e~~ `f*g*`'), 'a <strong:b> <em:c> <em:d> <del:e> <code:f*g*>');
  assert.equal(inline('***x*** **a *b* c**'), '<em:<strong:x>> <strong:a <em:b> c>');
  assert.equal(inline('snake_case_name 2 * 3 * 4 \\*no\\*'), 'snake_case_name 2 * 3 * 4 *no*');
});

test('links lead to the web, and nowhere else', () => {
  assert.equal(inline('[a](https://x.example/p_(q)) b'), '<https://x.example/p_(q):a> b');
  assert.equal(inline('(https://x.example/y).'), '(<https://x.example/y:https://x.example/y>).');
  assert.deepEqual(links('<mailto:a@b.example> www.x.example ftp://x.example //x.example a@b.example'), ['mailto:a@b.example']);
  for (const href of ['javascript:alert(1)', 'JaVaScRiPt:alert(1)', 'data:text/html,x', 'data:image/png,x', '//x.example', 'vbscript:x', '/x', '#x', 'java&#10;script:x']) {
    assert.deepEqual(links(`[a](${href}) ![b](${href}) <${href}> [c]\n\n[c]: <${href}>`), [], href);
  }
});

test('a link that leads nowhere keeps its address, and an image is a link', () => {
  const [span, image] = [...elements(render('[a](/x "t") ![b](https://x.example/c.png)'))].slice(1);
  assert.deepEqual([span.getAttribute('data-href'), span.textContent], ['/x', 'a']);
  assert.deepEqual([image.localName, image.getAttribute('href'), image.textContent], ['a', 'https://x.example/c.png', 'b']);
  assert.equal(inline('[![b](https://x.example/c.png)](https://x.example)'), '<https://x.example:b>');
});

test('what an address looks like is what it is', () => {
  assert.equal(inline('https://xn--pple-43d.example'), '<https://xn--pple-43d.example:https://xn--pple-43d.example>');
});

test('HTML is text', () => {
  assert.equal(inline('<img src=x onerror=alert(1)>'), '<img src=x onerror=alert(1)>');
});

test('blocks', () => {
  assert.deepEqual(types(SAMPLE), ['paragraph', 'list', 'quote', 'code', 'paragraph']);
  const [, list, , code] = nodes(SAMPLE);
  assert.equal(list.childNodes.length, 2);
  assert.equal(list.childNodes[1].querySelector('ul').textContent, 'd');
  assert.equal(code.childNodes[0].textContent, 'js');
  assert.equal(code.querySelector('code').textContent, 'let a = 1;\n\nlet b;');
  assert.deepEqual(types('a\n- b\n---\n## c'), ['paragraph', 'list', 'rule', 'heading']);
});

test('tables scroll in a box of their own', () => {
  const [box] = nodes('| a | b |\n|--:|---|\n| 1 | **2** |');
  assert.equal(box.getAttribute('class'), 'table');
  assert.deepEqual([...elements(box)].map(({ localName }) => localName), ['table', 'thead', 'tr', 'th', 'th', 'tbody', 'tr', 'td', 'td', 'strong']);
  assert.equal(box.querySelector('td').getAttribute('align'), 'right');
});

test('what has not ended is text in the end, and reaches to the end until then', () => {
  assert.equal(inline('a **b'), 'a **b');
  assert.equal(inline('a **b', OPEN), 'a <strong:b>');
  assert.equal(inline('a **b*', OPEN), 'a <strong:b>');
  assert.equal(inline('a **b *c ~~d', OPEN), 'a <strong:b <em:c <del:d>>>');
  assert.equal(inline('*a **b*', OPEN), '<em:a <strong:b>>');
  assert.equal(inline('*a [**b](https://x.example) c', OPEN), '<em:a <https://x.example:**b> c>');
  assert.equal(inline('a `b', OPEN), 'a <code:b>');
  assert.equal(inline('a \\`b `c` ``d `e', OPEN), 'a `b <code:c> <code:d `e>');
  assert.equal(inline('[a](https://x.exa', OPEN), 'a');
  assert.deepEqual(types('a\n```js\nlet', OPEN), ['paragraph', 'code']);
  assert.deepEqual(types('a\n``', OPEN), ['paragraph']);
});

test('no prefix of a text shows a mark of it as text', () => {
  for (let length = 1; length < SAMPLE.length; length += 1) {
    const shown = nodes(SAMPLE.slice(0, length), OPEN).map(({ textContent }) => textContent).join('\n');
    assert.ok(!/\*\*|```/.test(shown), `${length}: ${shown}`);
  }
});

test('no block is another one first', () => {
  const texts = {
    'a\n\n| b | c |\n|---|---|\n| 1 | 2 |\n': ['paragraph', 'code'], 'a\n\n---\n\nb': ['paragraph', 'rule', 'paragraph'],
    'a\n\n***b***': ['paragraph', 'paragraph'], 'a\n\n12. b': ['paragraph', 'list'], 'a\n- b\n- c': ['paragraph', 'list'],
  };
  for (const [text, whole] of Object.entries(texts)) {
    for (let length = 1; length <= text.length; length += 1) {
      const found = types(text.slice(0, length), OPEN);
      assert.deepEqual(found, whole.slice(0, found.length), text.slice(0, length));
    }
  }
});

test('settled blocks have the same source as before', () => {
  const blocks = new Blocks();
  blocks.update('one\n\ntwo\n\nthr', OPEN);
  const before = blocks.all.map(({ source }) => source);
  assert.equal(blocks.update('one\n\ntwo\n\nthree', OPEN), 2);
  const after = blocks.all.map(({ source }) => source);
  assert.deepEqual(after.slice(0, 2), before.slice(0, 2));
  assert.notEqual(after[2], before[2]);
  assert.equal(blocks.update('one\n\ntwo\n\nthree'), 2);
  assert.equal(blocks.update('one\n\ntwo\n\nthree'), 3);
  assert.equal(blocks.update('two\n\ntwo'), 0);
});

test('a text that grew is the same as one that came at once', () => {
  const text = `[r] one\n\n${SAMPLE}\n[r]: https://r.example\n\n[r] two\r\n\r\n- a\n\n  b\n- c\n\n[r]\n\n[r]: https://other.example\n\n[s] x\n\n> [s]: https://s.example\n`;
  for (const step of [1, 2, 7]) {
    const blocks = new Blocks();
    for (let length = step; length < text.length; length += step) blocks.update(text.slice(0, length), OPEN);
    const seen = blocks.all.map((block) => build(block, {}).textContent);
    blocks.update(text);
    const atOnce = render(text).childNodes.map(inlineForm);
    assert.deepEqual(blocks.all.map((block) => inlineForm(build(block, {}))), atOnce);
    assert.deepEqual(seen.slice(1, -2), blocks.all.map((block) => build(block, {}).textContent).slice(1, -2));
  }
});

function inlineForm(node) {
  return node.data ?? `${node.localName}${JSON.stringify([...node.attributes])}(${node.childNodes.map(inlineForm).join('')})`;
}

test('the signs that end a heading are no part of it', () => {
  assert.deepEqual(['# a ##', '# C#', '#  a  ', '# a # b #'].map((line) => nodes(line)[0].textContent), ['a', 'C#', 'a', 'a # b']);
});

test('nothing is lost that lies too deep, and elements do not lie deep', () => {
  for (const sign of ['> ', '- ', '*a ', '_a **b ', '![', '[a](', '1. > ']) {
    const text = `${sign.repeat(300)} end`;
    for (const options of [{}, OPEN]) {
      const shown = nodes(text, options);
      assert.ok(shown.at(-1).textContent.endsWith('end'), sign);
      assert.ok(Math.max(...shown.map(depth)) < 40, sign);
    }
  }
});

/** Of this process since then, however busy the machine is. */
function milliseconds(since) {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1000;
}

test('hostile texts take no long time', () => {
  const texts = ['*a ', '**a ', '`a ', '[', '[a](', '- ', '> ', '_a', '- a\n\n', '``a`', 'https://', '*a** '];
  for (const text of texts) {
    const started = process.cpuUsage();
    nodes(text.repeat(20_000), OPEN);
    nodes(text.repeat(20_000));
    assert.ok(milliseconds(started) < 3000, text);
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
    const started = process.cpuUsage();
    nodes(text, OPEN);
    nodes(text);
    assert.ok(milliseconds(started) < 2000, name);
  }
});
