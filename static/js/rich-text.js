import { copy } from './clipboard.js';
import { element, iconButton } from './dom.js';
import { parseBlocks } from './markdown.js';

/**
 * Shows what an assistant writes. It grows in place: blocks that did not change keep their
 * elements, and so the reader's selection and focus in them.
 */
export class RichText {
  #shown = [];

  /** @param {string} text @param {{open?: boolean}} [options] `open`: more is to come */
  constructor(text = '', options = {}) {
    this.node = element('div', { class: 'rich', dir: 'auto' });
    this.update(text, options);
  }

  /** @param {string} text the whole of it so far @param {{open?: boolean}} [options] */
  update(text, { open = false } = {}) {
    this.node.classList.toggle('growing', open);
    const blocks = parseBlocks(text, { open });
    const same = blocks.findIndex((block, index) => block.source !== this.#shown[index]?.source);
    const kept = same < 0 ? blocks.length : same;
    this.#shown.splice(kept).forEach(({ node }) => node.remove());
    for (const block of blocks.slice(kept)) {
      const node = blockNode(block);
      this.node.append(node);
      this.#shown.push({ source: block.source, node });
    }
  }
}

const BLOCKS = {
  paragraph: ({ inline }) => element('p', {}, ...inlineNodes(inline)),
  heading: ({ level, inline }) => (
    element('p', { class: 'rich-heading', role: 'heading', 'aria-level': Math.min(6, level + 3) }, ...inlineNodes(inline))
  ),
  code: codeNode,
  quote: ({ blocks }) => element('blockquote', {}, ...blocks.map(blockNode)),
  rule: () => element('hr'),
  list: ({ ordered, start, items }) => element(
    ordered ? 'ol' : 'ul', { start: ordered && start !== 1 ? start : null, role: 'list' },
    ...items.map((blocks) => element('li', {}, ...blocks.map(blockNode))),
  ),
};

function blockNode(block) {
  return BLOCKS[block.type](block);
}

function codeNode({ language, text }) {
  return element(
    'div', { class: 'code-block' },
    element(
      'div', { class: 'code-head' }, element('span', {}, language || 'code'),
      iconButton('copy', 'Copy code', () => copy(text, 'Code copied')),
    ),
    element('pre', { tabindex: 0, dir: 'ltr' }, element('code', {}, text)),
  );
}

function inlineNodes(nodes) {
  return nodes.map((node) => {
    if (node.type === 'text') return node.text;
    if (node.type === 'code') return element('code', {}, node.text);
    if (node.type === 'link') return link(node);
    return element(node.type, {}, ...inlineNodes(node.children));
  });
}

function link({ href, children }) {
  const attributes = { href, target: '_blank', rel: 'noopener noreferrer nofollow', title: href };
  return element('a', attributes, ...inlineNodes(children));
}
