import { copyText } from '../client/elements/clipboard.js';
import { toast } from './announcer.js';

/**
 * Copies `text` and says so.
 * @param {string} text
 * @param {string} done what to say, such as "Link copied"
 */
export async function copy(text, done) {
  toast(await copyText(text) ? done : 'Your browser did not allow copying');
}
