import { adoptStyles } from '../client/elements/build.js';
import { RICH_STYLE } from '../client/rich-style.js';
import { RichText as Growing } from '../client/rich-text.js';
import { copy } from './clipboard.js';
import { iconButton } from './dom.js';

adoptStyles(document, [RICH_STYLE]);

/** An assistant's Markdown, with a button to copy each block of code. */
export class RichText extends Growing {
  /** @param {string} text @param {{open?: boolean}} [options] `open`: more is to come */
  constructor(text = '', options = {}) {
    super(text, { ...options, tools: (read) => iconButton('copy', 'Copy code', () => copy(read(), 'Code copied')) });
  }
}
