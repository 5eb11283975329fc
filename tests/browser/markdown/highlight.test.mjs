// Code is coloured by spans, in every language that is vendored, and its text stays what it was.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';

import { elements } from './dom.mjs';
import { highlight } from '../client/highlight.js';
import { RichText } from '../client/rich-text.js';

const FOLDER = new URL('../vendor/highlight.js-11.12.0/', import.meta.url);
const LANGUAGES = readdirSync(FOLDER).filter((name) => name.endsWith('.js') && name !== 'core.min.js').map((name) => name.split('.')[0]);
const CODE = '# head **bold**\nclass A <b> "text" \'c\' 42 # comment\n// and /* so */ -- on\nif (x) return null; [a]\nkey: true\n+ added\n$v = "1";\nGET /x HTTP/1.1\nselect 1 from dual;\n\tall: b\nlet a = 1\nfunction f() {}\n';

async function coloured(text, language) {
  const code = document.createElement('code');
  code.append(text);
  await highlight(code, language);
  assert.equal(code.textContent, text);
  return [...elements(code)].map((span) => span.getAttribute('class'));
}

test('every language that is vendored colours something', async () => {
  for (const language of LANGUAGES) assert.ok((await coloured(CODE, language)).length, language);
});

test('languages go by their other names, too', async () => {
  assert.deepEqual(await coloured('def f(): return "x"', 'Py'), await coloured('def f(): return "x"', 'python'));
  assert.ok((await coloured('<script>let a = 1;</script>', 'html')).includes('code-number'));
});

test('what no language is known for stays as it is', async () => {
  for (const language of ['', 'nothing', 'constructor', '../core', '__proto__']) assert.deepEqual(await coloured(CODE, language), []);
  assert.deepEqual(await coloured('let a = 1;\n'.repeat(5000), 'js'), []);
});

test('code that grows keeps its element, and is coloured when it has ended', async () => {
  const rich = new RichText('', { open: true });
  await import('../client/markdown.js');
  rich.update('a\n\n```js\nlet a', { open: true });
  const [, block] = rich.node.childNodes;
  const spans = () => [...elements(block)].filter(({ localName, parent }) => localName === 'span' && parent.localName === 'code');
  rich.update('a\n\n```js\nlet a = 1;\nlet', { open: true });
  assert.equal(rich.node.childNodes[1], block);
  assert.equal(block.querySelector('code').textContent, 'let a = 1;\nlet');
  rich.update('a\n\n```js\nlet a = 1;\nlet b;\n```\n\nso', { open: true });
  await import('../client/highlight.js');
  while (!spans().length) await new Promise(setImmediate);
  assert.equal(rich.node.childNodes[1], block);
  assert.equal(rich.node.childNodes.length, 3);
  assert.equal(block.querySelector('code').textContent, 'let a = 1;\nlet b;');
});

test('blocks that have ended keep their elements', async () => {
  const rich = new RichText('one\n\ntwo', { open: true });
  await import('../client/markdown.js');
  rich.update('one\n\ntwo\n\n- a\n- b\n\nthr', { open: true });
  const before = rich.node.childNodes.slice(0, 3);
  rich.update('one\n\ntwo\n\n- a\n- b\n\nthree\n\nfour', { open: true });
  assert.deepEqual(rich.node.childNodes.slice(0, 3).map((node, index) => node === before[index]), [true, true, true]);
  rich.update('one\n\ntwo\n\n- a\n- b\n\nthree\n\nfour');
  assert.deepEqual(rich.node.childNodes.slice(0, 3).map((node, index) => node === before[index]), [true, true, true]);
  assert.equal(rich.node.getAttribute('class'), 'rich');
});
