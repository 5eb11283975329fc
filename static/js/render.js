import { element } from './dom.js';
import { RichText } from './rich-text.js';
import { linked } from './text.js';

/** @type {WeakMap<HTMLElement, RichText>} assistants' texts, by node */
const replies = new WeakMap();

/**
 * Renders people's messages with links, and assistants' as rich text that grows in place.
 * @type {import('../client/elements/message-row.js').Render}
 */
export function render(text, { reply, growing, node }) {
  if (!reply) return element('div', { dir: 'auto' }, linked(text));
  const rich = replies.get(node) ?? new RichText();
  rich.update(text, { open: growing });
  replies.set(rich.node, rich);
  return rich.node;
}
