import { element } from './dom.js';
import { RichText } from './rich-text.js';
import { linked } from './text.js';

/** @type {WeakMap<HTMLElement, RichText>} what assistants wrote, by its node */
const replies = new WeakMap();

/**
 * Shows what people write with its links, and what assistants write as rich text that grows in place.
 * @type {import('../client/elements/message-row.js').Render}
 */
export function render(text, { reply, growing, node }) {
  if (!reply) return element('div', { dir: 'auto' }, linked(text));
  const rich = replies.get(node) ?? new RichText();
  rich.update(text, { open: growing });
  replies.set(rich.node, rich);
  return rich.node;
}
