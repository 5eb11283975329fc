import { make } from './build.js';

export const COMPOSER_STYLE = `
form { display: flex; align-items: flex-end; flex-wrap: wrap; gap: 8px; padding: 10px 12px 12px; border-top: 1px solid var(--line); }
form textarea, form input {
  flex: 1; min-width: 0; min-height: 40px; max-height: 9rem; padding: 8px 12px; resize: none; field-sizing: content;
  border: 1px solid var(--edge); border-radius: 10px; background: var(--surface);
}
form textarea:focus-visible, form input:focus-visible { outline-offset: -1px; }
form button.main { min-height: 40px; padding: 0 16px; }
#editing { flex-basis: 100%; display: flex; align-items: center; justify-content: space-between; }
@media (pointer: coarse) { form textarea, form input, form button.main { min-height: 44px; font-size: 16px; } }
`;

/** The form in which one writes, or changes what one wrote. */
export function composerForm() {
  return make('form', { id: 'composer', part: 'composer' },
    make('div', { id: 'editing', class: 'quiet', hidden: true }, 'Editing your message', make('button', { id: 'cancel', type: 'button' }, 'Cancel')),
    make('textarea', { id: 'text', part: 'input', rows: '1', 'aria-label': 'Message', placeholder: 'Message', enterkeyhint: 'send' }),
    make('button', { id: 'send', part: 'send', class: 'main', type: 'submit' }, 'Send'),
  );
}

/** What the form does: Enter sends, Shift+Enter is a new line, Escape leaves what is being edited. */
export class Composer {
  /** @type {string | null} the id of what is being edited */
  #editing = null;
  #input;
  #root;
  #acts;

  /**
   * @param {ShadowRoot} root
   * @param {{send: (text: string) => void, edit: (id: string, text: string) => Promise<boolean>, typing: () => void,
   *   lastOwn: () => {id?: string, message: string} | undefined}} acts
   */
  constructor(root, acts) {
    this.#root = root;
    this.#acts = acts;
    this.#input = /** @type {HTMLTextAreaElement} */ (root.getElementById('text'));
    root.getElementById('composer')?.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    root.getElementById('cancel')?.addEventListener('click', () => this.#leave());
    this.#input.addEventListener('input', () => !this.#editing && this.#acts.typing());
    this.#input.addEventListener('keydown', (event) => this.#press(event));
  }

  focus() {
    this.#input.focus();
  }

  /** @param {{id?: string, message: string}} message */
  edit({ id, message }) {
    if (!id) return;
    this.#editing = id;
    this.#input.value = message;
    this.#show();
    this.focus();
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (event.isComposing) return;
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === 'Escape' && this.#editing) {
      this.#leave();
    } else if (event.key === 'ArrowUp' && !this.#input.value) {
      const last = this.#acts.lastOwn();
      if (last) event.preventDefault();
      if (last) this.edit(last);
    }
  }

  async #submit() {
    const text = this.#input.value;
    const id = this.#editing;
    if (!text.trim()) return;
    if (!id) {
      this.#input.value = '';
      this.#acts.send(text);
      return;
    }
    if (await this.#acts.edit(id, text)) this.#leave();
  }

  #leave() {
    this.#editing = null;
    this.#input.value = '';
    this.#show();
    this.focus();
  }

  #show() {
    const editing = this.#root.getElementById('editing');
    const send = this.#root.getElementById('send');
    if (editing) editing.hidden = !this.#editing;
    if (send) send.textContent = this.#editing ? 'Save' : 'Send';
  }
}
