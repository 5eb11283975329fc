import { ADDRESS, isSafe, trimAddress, withoutEnd } from './links.js';

const DEEPEST = 6;
const LONGEST_LABEL = 1000;
const LONGEST_ADDRESS = 2000;
const DEEPEST_BRACKETS = 32; // as in CommonMark: else each `[a](` would be followed to the end of all
const MARKS = [
  ['***', ['strong', 'em']], ['**', ['strong']], ['__', ['strong']], ['~~', ['del']], ['*', ['em']], ['_', ['em']],
];
const ESCAPABLE = /[!-/:-@[-`{-~]/;
const WORD = /[\p{L}\p{N}_]/u;
const SPECIAL = /[\\`*_~[]|https?:\/\//gi;
const ADDRESS_HERE = new RegExp(ADDRESS.source, 'iuy');
const DANGLING = '*_~`';
const OPEN_LINK = /^\[([^\]\n]*)\]\([^\s)]*$/;

/**
 * @typedef {{type: 'text' | 'code', text: string}
 *   | {type: 'strong' | 'em' | 'del', children: Inline[]}
 *   | {type: 'link', href: string, children: Inline[]}} Inline
 */

/**
 * The marks within a paragraph: emphasis, code and links. No DOM; time grows with the length only.
 * @param {string} text
 * @param {{open?: boolean}} [options] `open`: more is to come, so a mark that has not ended yet ends here
 * @returns {Inline[]}
 */
export function parseInline(text, { open = false } = {}) {
  return new Scanner(open ? withoutEnd(text, DANGLING) : text, open, 0).run();
}

class Scanner {
  #text;
  #open;
  #depth;
  #at = 0;
  #nodes = [];
  #missing = new Set();
  #bracket = -1;
  #codeRuns = null;

  constructor(text, open, depth) {
    this.#text = text;
    this.#open = open;
    this.#depth = depth;
  }

  run() {
    while (this.#at < this.#text.length) {
      if (!this.#plain() && !this.#escape() && !this.#code() && !this.#link() && !this.#address() && !this.#emphasis()) {
        this.#add(this.#text[this.#at], 1);
      }
    }
    return this.#nodes;
  }

  /** Whatever cannot begin a mark, at a stretch. */
  #plain() {
    SPECIAL.lastIndex = this.#at;
    const end = SPECIAL.exec(this.#text)?.index ?? this.#text.length;
    if (end === this.#at) return false;
    this.#add(this.#text.slice(this.#at, end), end - this.#at);
    return true;
  }

  #escape() {
    if (this.#text[this.#at] !== '\\' || !ESCAPABLE.test(this.#text[this.#at + 1] ?? '')) return false;
    this.#add(this.#text[this.#at + 1], 2);
    return true;
  }

  #code() {
    if (this.#text[this.#at] !== '`') return false;
    const fence = runAt(this.#text, this.#at);
    const start = this.#at + fence.length;
    const end = this.#closingRun(fence, start);
    if (end < 0 && !this.#open) this.#add(fence, fence.length);
    else this.#push({ type: 'code', text: unpadded(this.#text.slice(start, end < 0 ? undefined : end)) }, end, fence);
    return true;
  }

  #link() {
    if (this.#text[this.#at] !== '[') return false;
    const close = this.#labelEnd();
    if (close - this.#at > LONGEST_LABEL || this.#text[close + 1] !== '(') return false;
    const end = closingBracket(this.#text, close + 1);
    if (end < 0) return this.#openLink();
    const href = this.#text.slice(close + 2, end).trim().split(/\s/u, 1)[0];
    const label = this.#text.slice(this.#at + 1, close);
    if (!isSafe(href) || !label.trim()) return false;
    this.#nodes.push({ type: 'link', href, children: this.#inner(label, false, (node) => node.type !== 'link') });
    this.#at = end + 1;
    return true;
  }

  /** The next closing bracket, looked for once for all that open before it. */
  #labelEnd() {
    if (this.#bracket < this.#at) {
      const next = this.#text.indexOf(']', this.#at);
      this.#bracket = next < 0 ? Infinity : next;
    }
    return this.#bracket;
  }

  /** A link whose address is still being written shows its words. */
  #openLink() {
    const rest = this.#text.slice(this.#at, this.#at + LONGEST_LABEL + LONGEST_ADDRESS);
    const match = this.#open && OPEN_LINK.exec(rest);
    if (match) this.#add(match[1], match[0].length);
    return Boolean(match);
  }

  #address() {
    ADDRESS_HERE.lastIndex = this.#at;
    const match = ADDRESS_HERE.exec(this.#text);
    if (!match) return false;
    const href = trimAddress(match[0]);
    this.#nodes.push({ type: 'link', href, children: [{ type: 'text', text: href }] });
    this.#at += href.length;
    return true;
  }

  #emphasis() {
    const [mark, types] = MARKS.find(([sign]) => this.#text.startsWith(sign, this.#at)) ?? [];
    if (!mark || this.#depth >= DEEPEST || !opens(this.#text, this.#at, mark)) return this.#marks(mark);
    const start = this.#at + mark.length;
    const end = this.#end(mark, () => this.#closer(mark, start));
    if (end < 0 && !this.#open) return this.#marks(mark);
    const children = this.#inner(this.#text.slice(start, end < 0 ? undefined : end), end < 0);
    this.#push(types.reduceRight((inner, type) => [{ type, children: inner }], children)[0], end, mark);
    return true;
  }

  /** Signs that mark nothing are text. */
  #marks(mark) {
    if (mark) this.#add(mark, mark.length);
    return Boolean(mark);
  }

  /** Where something ends, or -1; what is missing once is missing from there on. */
  #end(what, find) {
    if (this.#missing.has(what)) return -1;
    const end = find();
    if (end < 0) this.#missing.add(what);
    return end;
  }

  /** Where a run of backticks as long as this one begins, from there on, or -1. */
  #closingRun(fence, from) {
    this.#codeRuns ??= codeRuns(this.#text);
    return firstFrom(this.#codeRuns.get(fence.length) ?? [], from);
  }

  #closer(mark, from) {
    const text = this.#text;
    let at = from;
    while (at < text.length) {
      const sign = text[at];
      if (sign === '\\') at += 2;
      else if (sign === '`') at = this.#afterCode(at);
      else if (sign !== mark[0]) at += 1;
      else {
        const run = runAt(text, at);
        if (closes(text, at, run, mark) && at > from) return at + Math.max(0, run.length - mark.length);
        at += run.length;
      }
    }
    return -1;
  }

  #afterCode(at) {
    const start = at + runAt(this.#text, at).length;
    const end = this.#closingRun(this.#text.slice(at, start), start);
    return end < 0 ? start : end + start - at;
  }

  #inner(text, open, fits = () => true) {
    const nodes = new Scanner(text, open, this.#depth + 1).run();
    return nodes.every(fits) ? nodes : [{ type: 'text', text }];
  }

  #push(node, end, mark) {
    this.#nodes.push(node);
    this.#at = end < 0 ? this.#text.length : end + mark.length;
  }

  #add(text, length) {
    const last = this.#nodes.at(-1);
    if (last?.type === 'text') last.text += text;
    else this.#nodes.push({ type: 'text', text });
    this.#at += length;
  }
}

function runAt(text, at) {
  let end = at;
  while (text[end] === text[at]) end += 1;
  return text.slice(at, end);
}

/** Where each run of backticks begins, in order, by its length. */
function codeRuns(text) {
  const runs = new Map();
  for (const { 0: run, index } of text.matchAll(/`+/g)) {
    if (!runs.has(run.length)) runs.set(run.length, []);
    runs.get(run.length).push(index);
  }
  return runs;
}

/** The first of some growing numbers that is not below `least`, or -1. */
function firstFrom(numbers, least) {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] < least) low = middle + 1;
    else high = middle;
  }
  return numbers[low] ?? -1;
}

function unpadded(code) {
  return code.startsWith(' ') && code.endsWith(' ') && code.trim() ? code.slice(1, -1) : code;
}

/** The bracket that ends an address, which may hold pairs of its own. */
function closingBracket(text, from) {
  let depth = 0;
  const last = Math.min(text.length, from + LONGEST_ADDRESS);
  for (let at = from; at < last && text[at] !== '\n'; at += 1) {
    if (text[at] === '(' && ++depth > DEEPEST_BRACKETS) return -1;
    if (text[at] === ')' && --depth === 0) return at;
  }
  return -1;
}

function opens(text, at, mark) {
  const next = text[at + mark.length];
  if (next === undefined || /\s/u.test(next)) return false;
  return mark[0] !== '_' || !WORD.test(text[at - 1] ?? '');
}

function closes(text, at, run, mark) {
  if (/\s/u.test(text[at - 1])) return false;
  if (mark[0] === '_' && WORD.test(text[at + run.length] ?? '')) return false;
  return mark.length === 1 ? run.length !== 2 : run.length >= mark.length;
}
