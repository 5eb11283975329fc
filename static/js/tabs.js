const STEPS = { ArrowRight: 1, ArrowLeft: -1 };

/** Tabs as in the ARIA Authoring Practices: arrow keys move, one panel shows. */
export class Tabs {
  #tabs;
  #onShow;

  /**
   * @param {HTMLElement} list a `tablist` @param {(name: string) => void} onShow
   * @param {AbortSignal} signal ends the listening
   */
  constructor(list, onShow, signal) {
    this.#tabs = [...list.children];
    this.#onShow = onShow;
    list.addEventListener('keydown', (event) => this.#onKey(event), { signal });
    for (const tab of this.#tabs) tab.addEventListener('click', () => this.show(tab.dataset.tab), { signal });
  }

  /** Sets which tabs exist. @param {string[]} names */
  offer(names) {
    for (const tab of this.#tabs) tab.hidden = !names.includes(tab.dataset.tab);
  }

  show(name) {
    for (const tab of this.#tabs) {
      const selected = tab.dataset.tab === name;
      tab.setAttribute('aria-selected', String(selected));
      tab.tabIndex = selected ? 0 : -1;
      document.getElementById(tab.getAttribute('aria-controls')).hidden = !selected;
    }
    this.#onShow(name);
  }

  #onKey(event) {
    const open = this.#tabs.filter((tab) => !tab.hidden);
    if (!(event.key in STEPS)) return;
    const next = open[(open.indexOf(document.activeElement) + STEPS[event.key] + open.length) % open.length];
    event.preventDefault();
    next.focus();
    this.show(next.dataset.tab);
  }
}
