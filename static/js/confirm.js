import { byId } from './dom.js';

/**
 * Asks for confirmation of something that cannot be undone.
 * @param {{title: string, text: string, yes: string}} words `yes`: the button's text
 * @returns {Promise<boolean>} false for Cancel and Escape
 */
export function confirm({ title, text, yes }) {
  const dialog = byId('confirm');
  byId('confirm-title').textContent = title;
  byId('confirm-text').textContent = text;
  byId('confirm-yes').textContent = yes;
  dialog.returnValue = '';
  dialog.showModal();
  byId('confirm-no').onclick = () => dialog.close();
  byId('confirm-yes').onclick = () => dialog.close('yes');
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}
