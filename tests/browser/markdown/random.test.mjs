// Hostile and random texts. The DOM below throws for any element or attribute that is not on its list.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { depth } from './dom.mjs';
import { Blocks, build, render } from '../client/markdown.js';

const NAUGHTY = JSON.parse(readFileSync(process.env.BLNS, 'utf8'));
const SEEDS = 500;
const PIECES = [
  'a', 'b c', ' ', '  ', '    ', '\t', '\n', '\n', '\n\n', '\r\n', '*', '**', '***', '_', '__', '~~', '`', '``', '```', '```js\n',
  '~~~', '# ', '## ', '> ', '- ', '* ', '1. ', '2) ', '---', '===', '|', '|a|b|\n', '|--|:-:|\n', '[', ']', '(', ')', '![', '](',
  '[a](https://x.example)', '](javascript:alert(1))', '](/x "t")', '<', '>', '<b>', '<img src=x onerror=alert(1)>', '<script>',
  '<https://x.example>', '<javascript:x>', 'https://x.example/', 'mailto:a@b.example', '\\', '&amp;', '&#0;', '&#106;', '\0', '\u202e',
  'é', '😀', '"', "'", '!', ':', '\u2028', '.', '=', '-', '+', 'onclick=',
];
const DEFINITIONS = ['[a]: https://x.example\n', '\n\n[a]: javascript:x\n', '[a][a]', '[a]'];

/** Numbers that look random and are the same each time (mulberry32). */
function chance(seed) {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function randomText(random, pieces) {
  return Array.from({ length: 1 + random(40) }, () => pieces[random(pieces.length)]).join('');
}

function written(node) {
  return node.data ?? `${node.localName}${JSON.stringify([...node.attributes ?? []])}(${node.childNodes.map(written).join('')})`;
}

function drawn(blocks) {
  return blocks.all.map((block) => written(build(block, {})));
}

test('naughty strings make no other elements, alone and within marks', () => {
  for (const text of NAUGHTY) {
    for (const around of [`${text}`, `[${text}](${text})`, `![a](<${text}> "${text}")`, `\`\`\`${text}\n${text}`, `| ${text} |\n|--|\n| ${text} |`]) {
      render(around);
      new Blocks().update(around, { open: true });
    }
  }
});

test('random texts make no other elements, and not many in each other', () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const text = randomText(chance(seed), [...PIECES, ...DEFINITIONS]);
    assert.ok(depth(render(text)) < 50, JSON.stringify(text));
  }
});

test('what grows by pieces is what would be read at once', () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const random = chance(seed);
    const text = randomText(random, PIECES);
    const growing = new Blocks();
    for (let length = 0; length < text.length; length += 1 + random(6)) {
      const atOnce = new Blocks();
      growing.update(text.slice(0, length), { open: true });
      atOnce.update(text.slice(0, length), { open: true });
      assert.deepEqual(drawn(growing), drawn(atOnce), `seed ${seed}: ${JSON.stringify(text.slice(0, length))}`);
    }
    growing.update(text);
    assert.deepEqual(drawn(growing), render(text).childNodes.map(written), `seed ${seed}: ${JSON.stringify(text)}`);
  }
});
