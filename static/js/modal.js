/**
 * Wires a `<dialog>`: its `[data-close]` buttons and a press outside it close it. The browser handles
 * Escape and keeps the focus inside, returning it afterwards.
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
 * Runs a dialog form's action with its button disabled, and shows any failure.
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
