const MARK = /^[ \t]*(?:[*_]+|[-=]+|[+>]|#{1,6}|`{1,2}|~{1,2}|\d{1,9}[.)]?)[ \t]*$/;
const TABLE_RULE = /^\|[-:| \t]*$/;
const DANGLING = '*_~`';
const LINK = /!?\[([^\]\n]*)\]\([^\s)]*$/;
const LONGEST_LINK = 2000;

/** @typedef {{open?: boolean, unfinished?: object | null}} Env `unfinished`: the tokens of the last line */

/**
 * Where to cut a growing text, so that its end is not first shown as something that it will not
 * become: a list marker, the line under a heading, the head of a table.
 * @param {string} text
 */
export function unfinishedAt(text) {
  const end = text.endsWith('\n') ? text.length - 1 : text.length;
  const at = lineStart(text, end);
  const line = text.slice(at, end);
  const ended = end < text.length;
  if (!ended && MARK.test(line)) return at;
  if (!line.startsWith('|')) return text.length;
  const head = at && lineStart(text, at - 1);
  if (!at || text[head] !== '|') return at;
  const isSecond = !head || text[lineStart(text, head - 1)] !== '|';
  return isSecond && !ended && TABLE_RULE.test(line) ? head : text.length;
}

/** @param {string} text @param {number} end */
function lineStart(text, end) {
  return text.lastIndexOf('\n', end - 1) + 1;
}

/**
 * A markdown-it plugin: in a growing text (`env.open`), unclosed marks reach to the end of the last
 * line, and a link whose address is still being written shows its text.
 * @param {import('markdown-it').MarkdownIt} markdown
 */
export function closesMarks(markdown) {
  markdown.core.ruler.before('inline', 'unfinished', ({ tokens, env }) => {
    let block = env.open ? tokens.length - 1 : -1;
    while (block > 0 && (tokens[block].level || tokens[block].nesting < 0)) block -= 1;
    const last = block < 0 ? null : tokens.slice(block).filter(({ type, content }) => type === 'inline' && content).at(-1);
    env.unfinished = last?.children;
    if (last) last.content = finished(last.content);
  });
  markdown.inline.ruler2.after('balance_pairs', 'unfinished', (state) => {
    if (state.env.unfinished === state.tokens) closePairs(state);
  });
}

/** @param {string} line */
function finished(line) {
  let end = line.length;
  while (end > 0 && DANGLING.includes(line[end - 1])) end -= 1;
  const text = line.slice(0, end);
  const code = openCode(text);
  if (code) return text + code;
  const at = Math.max(0, end - LONGEST_LINK);
  return text.slice(0, at) + text.slice(at).replace(LINK, '$1');
}

/** The backticks that would close the open code. @param {string} text */
function openCode(text) {
  const runs = Array.from(text.matchAll(/`+/g), ({ 0: { length }, index }) => ({ length, escaped: isEscaped(text, index) }));
  for (let at = 0; at < runs.length; at += 1) {
    const length = runs[at].length - Number(runs[at].escaped);
    if (!length) continue;
    do at += 1; while (at < runs.length && runs[at].length !== length);
    if (at >= runs.length) return '`'.repeat(length);
  }
  return '';
}

/** @param {string} text @param {number} at */
function isEscaped(text, at) {
  let start = at;
  while (text[start - 1] === '\\') start -= 1;
  return (at - start) % 2 === 1;
}

/**
 * Closes unclosed marks, innermost first; those within a closed pair are text.
 * @param {import('markdown-it').StateInline} state
 */
function closePairs(state) {
  const { delimiters } = state;
  const open = [];
  for (let at = 0; at < delimiters.length; at += 1) {
    if (delimiters[at].end >= 0) at = delimiters[at].end;
    else if (delimiters[at].open) open.push(delimiters[at]);
  }
  for (const opener of open.reverse()) {
    state.push('text', '', 0);
    opener.end = delimiters.length;
    delimiters.push({ ...opener, token: state.tokens.length - 1, end: -1, open: false, close: true });
  }
}
