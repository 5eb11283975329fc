import { withoutEnd } from './links.js';
import { parseInline } from './markdown-inline.js';

const DEEPEST = 6;
// Each pattern decides every sign once: two repeats side by side that take the same signs cost their square.
const FENCE = /^ {0,3}(`{3,}|~{3,})([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(.*)$/s;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}>[ ]?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])([ \t]+|$)(.*)$/s;
const INTERRUPTING_ITEM = /^ {0,3}(?:[-*+]|1[.)])[ \t]+\S/;
const LEAST_INDENT = 2;
const UNFINISHED_LINE = /(^|\n)[ \t]*(?:[-*+>]|#{1,6}|`{1,2}|~{1,2})$/;

/**
 * @typedef {import('./markdown-inline.js').Inline} Inline
 * @typedef {{source: string} & (
 *   {type: 'paragraph', inline: Inline[]} | {type: 'heading', level: number, inline: Inline[]}
 *   | {type: 'code', language: string, text: string} | {type: 'quote', blocks: Block[]} | {type: 'rule'}
 *   | {type: 'list', ordered: boolean, start: number, items: Block[][]})} Block
 */

/**
 * The blocks of a text in the part of Markdown that assistants write: paragraphs, headings, code,
 * lists, quotes and rules. HTML is text like any other. No DOM.
 * @param {string} text
 * @param {{open?: boolean}} [options]
 *   `open`: more is to come, so a fence or mark that has not ended yet reaches to the end
 * @returns {Block[]} `source` is the text that a block was made of: the same text, the same block
 */
export function parseBlocks(text, { open = false } = {}) {
  const whole = text.replaceAll('\r\n', '\n').replaceAll('\t', '    ');
  const settled = open ? whole.replace(UNFINISHED_LINE, '$1') : whole;
  return blocksOf(settled.split('\n'), open, 0);
}

function blocksOf(lines, open, depth) {
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const reader = (depth < DEEPEST && READERS.find(([pattern]) => pattern.test(lines[at]))?.[1]) || paragraph;
    const { end, ...block } = reader(lines, at, open, depth);
    blocks.push({ ...block, source: lines.slice(at, end).join('\n') + (open && end >= lines.length ? '\0' : '') });
    at = end;
  }
  return blocks;
}

function code(lines, at) {
  const [, fence, info] = FENCE.exec(lines[at]);
  const indent = indentOf(lines[at]);
  const isEnd = (line) => line.trim().length >= fence.length && line.trim().replaceAll(fence[0], '') === '';
  let end = at + 1;
  while (end < lines.length && !isEnd(lines[end])) end += 1;
  const text = lines.slice(at + 1, end).map((line) => undent(line, indent)).join('\n');
  return { type: 'code', language: info.trim().split(/\s/u, 1)[0], text, end: Math.min(end + 1, lines.length) };
}

function heading(lines, at, open) {
  const [, signs, text] = HEADING.exec(lines[at]);
  const inline = parseInline(withoutClosing(text.trim()), { open: open && at === lines.length - 1 });
  return { type: 'heading', level: signs.length, inline, end: at + 1 };
}

/** A heading without the signs that end it: "Why ##"; but "C#" keeps its own. */
function withoutClosing(text) {
  const bare = withoutEnd(text, '#');
  const cut = bare.trimEnd();
  return cut !== bare || !bare ? cut : text;
}

function rule(lines, at) {
  return { type: 'rule', end: at + 1 };
}

function quote(lines, at, open, depth) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  const inner = lines.slice(at, end).map((line) => line.replace(QUOTE, ''));
  return { type: 'quote', blocks: blocksOf(inner, open && end === lines.length, depth + 1), end };
}

function list(lines, at, open, depth) {
  const first = ITEM.exec(lines[at])[2];
  const items = [];
  let end = at;
  while (end < lines.length && isNext(lines[end], first)) {
    const item = itemAt(lines, end);
    items.push(blocksOf(item.lines, open && item.end === lines.length, depth + 1));
    end = item.end;
  }
  return { type: 'list', ordered: isNumber(first), start: Number.parseInt(first, 10) || 0, items, end };
}

/** An item's own lines, without their indent, and where the next may begin. */
function itemAt(lines, at) {
  const [, before, sign, space, text] = ITEM.exec(lines[at]);
  const indent = before.length + sign.length + Math.min(space.length || 1, 4);
  const own = [text];
  let end = at + 1;
  while (end < lines.length && continues(lines, end, Math.min(indent, before.length + LEAST_INDENT))) {
    own.push(undent(lines[end], indent));
    end += 1;
  }
  return { lines: own, end };
}

function continues(lines, at, indent) {
  if (!lines[at].trim()) {
    const next = lines.slice(at, at + 3).find((line) => line.trim());
    return next !== undefined && (indentOf(next) >= indent || ITEM.test(next));
  }
  if (indentOf(lines[at]) >= indent) return true;
  return Boolean(lines[at - 1].trim()) && !startsBlock(lines[at]);
}

function paragraph(lines, at, open) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !interrupts(lines[end])) end += 1;
  const text = lines.slice(at, end).join('\n').trim();
  return { type: 'paragraph', inline: parseInline(text, { open: open && end === lines.length }), end };
}

function interrupts(line) {
  return INTERRUPTING_ITEM.test(line) || (startsBlock(line) && !ITEM.test(line));
}

function startsBlock(line) {
  return READERS.some(([pattern]) => pattern.test(line));
}

function isNext(line, first) {
  const sign = RULE.test(line) ? null : ITEM.exec(line)?.[2];
  return Boolean(sign) && isNumber(sign) === isNumber(first);
}

function isNumber(sign) {
  return sign.length > 1;
}

function indentOf(line) {
  return line.length - line.trimStart().length;
}

function undent(line, most) {
  return line.slice(Math.min(most, indentOf(line)));
}

const READERS = [[FENCE, code], [HEADING, heading], [RULE, rule], [QUOTE, quote], [ITEM, list]];
