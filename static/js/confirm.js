import { byId } from './dom.js';

/**
 * Asks before something that cannot be undone.
 * @param {string} title
 * @param {string} text
 * @returns {Promise<boolean>} false for Cancel and Escape
 */
export function confirmDelete(title, text) {
  const dialog = byId('confirm');
  byId('confirm-title').textContent = title;
  byId('confirm-text').textContent = text;
  dialog.returnValue = '';
  dialog.showModal();
  byId('confirm-no').onclick = () => dialog.close();
  byId('confirm-yes').onclick = () => dialog.close('yes');
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}
