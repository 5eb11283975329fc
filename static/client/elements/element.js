import { Chatrooms } from '../chatrooms.js';
import { pageClient } from '../views/clients.js';
import { adoptStyles } from './build.js';
import { oncePerFrame } from './frames.js';

/**
 * An element that shows a view while it is in a page, and a new one when its attributes change. A
 * subclass picks the view in `makeView` and draws it in `draw`.
 * @template {object} T
 */
export class ViewElement extends HTMLElement {
  /** The content of the shadow root; a template, so that many elements cost little. @type {HTMLTemplateElement} */
  static template;
  /** @type {readonly string[]} */
  static styles = [];
  /** @type {readonly string[]} */
  static attributes = [];

  static get observedAttributes() {
    return [...this.attributes, 'url', 'token'];
  }

  /** @type {import('../views/store.js').Store<T> | null} */
  #view = null;
  #unwatch = () => {};
  #due = false;
  #drawSoon = oncePerFrame(() => this.isConnected && this.#draw());
  /** @type {Chatrooms | null} */
  #given = null;
  /** @type {Chatrooms | null} */
  #own = null;
  /** @type {ShadowRoot} */
  root;

  constructor() {
    super();
    const { template, styles } = /** @type {typeof ViewElement} */ (this.constructor);
    this.root = this.attachShadow({ mode: 'open' });
    this.root.append(document.importNode(template.content, true));
    adoptStyles(this.root, styles);
  }

  /** The client: the one set here, else one with the attribute `token`, else the page's for `url`. */
  get client() {
    if (this.#given) return this.#given;
    const { url, token } = { url: this.getAttribute('url') ?? '', token: this.getAttribute('token') };
    if (!token) return pageClient(url);
    this.#own ??= new Chatrooms({ url, token, share: false });
    return this.#own;
  }

  set client(client) {
    this.#given = client;
    this.refresh();
  }

  /** The view shown; null while something that it needs is missing. */
  get view() {
    return this.#view;
  }

  connectedCallback() {
    for (const name of ['client', ...this.properties()]) this.#upgrade(name);
    this.refresh();
  }

  disconnectedCallback() {
    this.refresh();
  }

  /** @param {string} name @param {string | null} before @param {string | null} now */
  attributeChangedCallback(name, before, now) {
    if (before === now) return;
    if (name === 'url' || name === 'token') this.#dropOwn();
    this.refresh();
  }

  /** Shows the view for the current attributes; several changes, or a move in the page, count as one. */
  refresh() {
    if (this.#due) return;
    this.#due = true;
    queueMicrotask(() => {
      this.#due = false;
      this.#show(this.isConnected ? this.makeView() : null);
    });
  }

  /** @param {import('../views/store.js').Store<T> | null} view */
  #show(view) {
    if (view !== null && view === this.#view) return this.#draw();
    this.#unwatch();
    this.#view = view;
    this.#unwatch = view ? this.#watch(view) : () => {};
    if (!this.isConnected) this.#dropOwn();
    else this.#draw();
  }

  /** @param {import('../views/store.js').Store<T>} view */
  #watch(view) {
    const aborter = new AbortController();
    for (const [type, handler] of Object.entries(this.handlers())) {
      view.addEventListener(type, (event) => handler(/** @type {CustomEvent} */ (event).detail), { signal: aborter.signal });
    }
    const unsubscribe = view.subscribe(() => this.#drawSoon());
    return () => {
      aborter.abort();
      unsubscribe();
    };
  }

  #draw() {
    this.draw(this.#view?.get() ?? null);
  }

  #dropOwn() {
    this.#own?.close();
    this.#own = null;
  }

  /** A property set before the element was defined hides the accessor. @param {string} name */
  #upgrade(name) {
    if (!Object.hasOwn(this, name)) return;
    const self = /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (this));
    const value = self[name];
    delete self[name];
    self[name] = value;
  }

  /** @param {string} type @param {unknown} [detail] */
  fire(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /**
   * A part of the shadow root.
   * @template {HTMLElement} [E=HTMLElement]
   * @param {string} id
   * @returns {E}
   */
  find(id) {
    return /** @type {E} */ (this.root.getElementById(id));
  }

  /** Properties that may be set before the element is defined. @returns {string[]} */
  properties() {
    return [];
  }

  /** The view for the current attributes; the same one while nothing relevant changes. @returns {import('../views/store.js').Store<T> | null} */
  makeView() {
    return null;
  }

  /** Handlers for the view's events. @returns {Record<string, (detail: any) => void>} */
  handlers() {
    return {};
  }

  /** @param {T | null} state */
  draw(state) {
    void state;
  }
}

/**
 * Defines properties that reflect text attributes: `roomId` for `room-id`.
 * @param {typeof ViewElement<any>} type
 */
export function reflect(type) {
  for (const attribute of [...type.attributes, 'url', 'token']) {
    const name = attribute.replace(/-(.)/g, (_, letter) => letter.toUpperCase());
    if (name in type.prototype) continue;
    Object.defineProperty(type.prototype, name, {
      configurable: true,
      enumerable: true,
      /** @this {HTMLElement} */
      get() {
        return this.getAttribute(attribute) ?? '';
      },
      /** @this {HTMLElement} @param {unknown} value */
      set(value) {
        if (value === null || value === undefined) this.removeAttribute(attribute);
        else this.setAttribute(attribute, String(value));
      },
    });
  }
}
