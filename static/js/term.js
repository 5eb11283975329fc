import { byId } from './dom.js';
import { installModal } from './modal.js';

installModal(byId('term'));

/**
 * Asks how long to ban or mute somebody.
 * @param {{title: string, text: string, yes: string}} words
 * @returns {Promise<{seconds: number | null} | null>} seconds null: forever; null when cancelled
 */
export function askTerm({ title, text, yes }) {
  const dialog = byId('term');
  const form = byId('term-form');
  byId('term-title').textContent = title;
  byId('term-text').textContent = text;
  byId('term-yes').textContent = yes;
  form.reset();
  dialog.returnValue = '';
  form.onsubmit = (event) => {
    event.preventDefault();
    dialog.close('yes');
  };
  dialog.showModal();
  form.elements.term[0].focus();
  return new Promise((resolve) => {
    const answer = () => (dialog.returnValue === 'yes' ? { seconds: Number(form.elements.term.value) || null } : null);
    dialog.addEventListener('close', () => resolve(answer()), { once: true });
  });
}
