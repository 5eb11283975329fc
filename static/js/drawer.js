/**
 * A side panel: part of the page while `docked` matches, otherwise a modal drawer over it with a scrim,
 * Escape, and focus that moves in and returns.
 */
export class Drawer {
  #panel;
  #opener;
  #docked;
  #open;

  /**
   * @param {{panel: HTMLElement, opener: HTMLElement, scrim: HTMLElement, docked: MediaQueryList,
   *   open?: boolean}} parts
   *   `open`: whether it starts open when docked
   */
  constructor({ panel, opener, scrim, docked, open = false }) {
    this.#panel = panel;
    this.#opener = opener;
    this.#docked = docked;
    this.#open = open && docked.matches;
    opener.addEventListener('click', () => this.toggle());
    scrim.addEventListener('click', () => this.dismiss());
    panel.querySelector('[data-close]').addEventListener('click', () => this.close());
    document.addEventListener('keydown', (event) => this.#onKey(event));
    docked.addEventListener('change', () => this.#onResize(open));
    this.#apply();
  }

  get modal() {
    return this.#open && !this.#docked.matches;
  }

  toggle() {
    if (this.#open) this.close();
    else this.open();
  }

  open() {
    this.#open = true;
    this.#apply();
    const target = this.#panel.querySelector('textarea') ?? this.#panel.querySelector('[data-close]');
    target.focus();
  }

  /** Does nothing if it is closed. */
  close() {
    if (!this.#open) return;
    const hadFocus = this.modal || this.#panel.contains(document.activeElement);
    this.#open = false;
    this.#apply();
    if (hadFocus) this.#opener.focus();
  }

  /** Closes it if it covers the page, leaves it if it is docked. */
  dismiss() {
    if (this.modal) this.close();
  }

  #onKey(event) {
    if (event.key === 'Escape' && this.modal) {
      event.preventDefault();
      this.close();
    }
  }

  #onResize(openWhenDocked) {
    this.#open = openWhenDocked && this.#docked.matches;
    this.#apply();
  }

  #apply() {
    const { modal } = this;
    this.#panel.classList.toggle('open', this.#open);
    this.#opener.setAttribute('aria-expanded', String(this.#open));
    this.#panel.setAttribute('role', modal ? 'dialog' : 'complementary');
    if (modal) this.#panel.setAttribute('aria-modal', 'true');
    else this.#panel.removeAttribute('aria-modal');
    settle(this.#panel.parentElement);
  }
}

/** While a modal drawer is open only it can be used; a closed panel never can. */
function settle(container) {
  const modal = container.querySelector('[aria-modal]');
  for (const part of container.querySelectorAll('.panel, .conversation')) {
    part.inert = modal ? part !== modal : part.matches('.panel:not(.open)');
  }
}
