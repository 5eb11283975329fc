/**
 * Wires a `<dialog>`: its `[data-close]` buttons and a press beside it close it. The browser sees to
 * Escape, to the focus staying inside and to its return.
 * @param {HTMLDialogElement} dialog
 */
export function installModal(dialog) {
  for (const button of dialog.querySelectorAll('[data-close]')) {
    button.addEventListener('click', () => dialog.close());
  }
  dialog.addEventListener('pointerdown', (event) => {
    if (event.target === dialog) dialog.close();
  });
}

/**
 * Runs what a form of a dialog is for, with its button off, and shows why it failed.
 * @param {HTMLFormElement} form with a submit button and a `.form-error`
 * @param {() => Promise<void>} act
 */
export async function submitting(form, act) {
  const button = form.querySelector('[type="submit"]');
  const problem = form.querySelector('.form-error');
  problem.textContent = '';
  button.disabled = true;
  try {
    await act();
  } catch (error) {
    problem.textContent = error.message;
  } finally {
    button.disabled = false;
  }
}
