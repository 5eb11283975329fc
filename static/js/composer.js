import { recall, remember } from '../client/storage.js';
import { announce } from './announcer.js';
import { byId, showText } from './dom.js';
import { tab } from './memory.js';

const MOST_BYTES = 16_384;
const TALLEST_PX = 200;
const TICK_MS = 250;
const encoder = new TextEncoder();

/** The box where messages are written, new ones and edits of old ones. */
export class Composer {
  #form = byId('composer');
  #input = byId('composer-input');
  #onSend;
  #onEdit;
  #onTyping;
  #lastOwn;
  #editing = null;
  #draft = '';
  #draftName;
  #pausedUntil = 0;
  #ticking = null;
  #closed = false;

  /**
   * @param {{roomId: string, onSend: (text: string) => void,
   *   onEdit: (entry: object, text: string) => Promise<void>, onTyping: () => void,
   *   lastOwn: () => object | undefined, onCheck: () => void, signal: AbortSignal}} options
   *   `onCheck`: the user asks whether the closed box may be used again
   */
  constructor({ roomId, onSend, onEdit, onTyping, lastOwn, onCheck, signal }) {
    this.#onSend = onSend;
    this.#onEdit = onEdit;
    this.#onTyping = onTyping;
    this.#lastOwn = lastOwn;
    this.#draftName = `draft.${roomId}`;
    this.#form.addEventListener('submit', (event) => this.#submit(event), { signal });
    this.#input.addEventListener('input', () => this.#onInput(), { signal });
    this.#input.addEventListener('keydown', (event) => this.#onKey(event), { signal });
    byId('editing-cancel').addEventListener('click', () => this.#stopEditing(), { signal });
    byId('composer-check').addEventListener('click', onCheck, { signal });
    signal.addEventListener('abort', () => clearInterval(this.#ticking));
    this.open();
    this.#stopEditing();
    this.#put(recall(tab, this.#draftName) ?? '');
  }

  /** @param {string} name of the room */
  name(name) {
    this.#input.placeholder = `Message ${name}`;
  }

  focus() {
    this.#input.focus();
  }

  /**
   * Puts a sentence in the place of the box.
   * @param {{text: string, icon?: string, mayCheck?: boolean}} why `mayCheck` offers to ask again
   */
  close({ text, icon = 'lock', mayCheck = false }) {
    const hadFocus = byId('composer-box').contains(document.activeElement);
    byId('composer-closed-text').textContent = text;
    byId('composer-closed-icon').setAttribute('href', `#icon-${icon}`);
    byId('composer-check').hidden = !mayCheck;
    this.#toggle(true);
    if (hadFocus) (mayCheck ? byId('composer-check') : byId('log')).focus();
  }

  /** The box may be used. */
  open() {
    const hadFocus = byId('composer-closed').contains(document.activeElement);
    this.#toggle(false);
    if (hadFocus) this.#input.focus();
  }

  /** No new message for so long; the time that is left is shown. */
  pause(ms) {
    if (ms <= 0) return;
    this.#pausedUntil = Date.now() + ms;
    clearInterval(this.#ticking);
    this.#ticking = setInterval(() => this.#tick(), TICK_MS);
    this.#tick();
    announce(byId('composer-wait-text').textContent);
  }

  /** Puts a text back that could not be sent, before what was written since. */
  restore(text) {
    const rest = this.#input.value;
    this.#put(rest ? `${text}\n${rest}` : text);
    remember(tab, this.#draftName, this.#input.value);
  }

  /** Puts an own message into the box to change it. */
  edit(entry) {
    if (!this.#editing) this.#draft = this.#input.value;
    this.#editing = entry;
    byId('editing').hidden = false;
    byId('editing-text').textContent = entry.message;
    byId('composer-send').setAttribute('aria-label', 'Save the change');
    this.#put(entry.message);
    this.#input.focus();
  }

  #onInput() {
    this.#fit();
    showText(byId('composer-error'), this.#excess());
    if (this.#editing) return;
    remember(tab, this.#draftName, this.#input.value || null);
    if (this.#input.value.trim()) this.#onTyping();
  }

  #onKey(event) {
    if (event.isComposing || event.keyCode === 229) return; // Safari ends a composition before its Enter
    const plain = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey;
    if (event.key === 'Enter' && !event.shiftKey && !event.altKey) this.#submit(event);
    else if (event.key === 'Escape' && this.#editing) this.#cancel(event);
    else if (event.key === 'ArrowUp' && plain && !this.#input.value && !this.#editing) this.#editLast(event);
  }

  #editLast(event) {
    const entry = this.#lastOwn();
    if (!entry) return;
    event.preventDefault();
    this.edit(entry);
  }

  #cancel(event) {
    event.preventDefault();
    event.stopPropagation();
    this.#stopEditing();
  }

  #submit(event) {
    event.preventDefault();
    const text = this.#input.value.trim();
    if (!text || this.#excess() || this.#waiting) return;
    if (this.#editing) this.#save(this.#editing, text);
    else this.#send(text);
    this.#input.focus();
  }

  #send(text) {
    this.#put('');
    remember(tab, this.#draftName, null);
    this.#onSend(text);
  }

  async #save(entry, text) {
    if (text !== entry.message) {
      try {
        await this.#onEdit(entry, text);
      } catch (error) {
        showText(byId('composer-error'), `The change was not saved: ${error.message}`);
        return;
      }
    }
    if (this.#editing === entry) this.#stopEditing();
  }

  #stopEditing() {
    if (this.#editing) this.#put(this.#draft);
    this.#editing = null;
    this.#draft = '';
    this.#fit();
    byId('editing').hidden = true;
    byId('composer-send').setAttribute('aria-label', 'Send message');
  }

  #put(text) {
    this.#input.value = text;
    this.#input.setSelectionRange(text.length, text.length);
    showText(byId('composer-error'), '');
    this.#fit();
  }

  #fit() {
    fitHeight(this.#input);
    byId('composer-send').disabled = !this.#input.value.trim() || this.#waiting;
  }

  /** Edits are no new messages. */
  get #waiting() {
    return !this.#editing && Date.now() < this.#pausedUntil;
  }

  #tick() {
    const seconds = Math.ceil((this.#pausedUntil - Date.now()) / 1000);
    byId('composer-wait').hidden = seconds <= 0 || this.#closed;
    const words = seconds > 0 ? `Slow mode: your next message in ${seconds} s` : '';
    if (byId('composer-wait-text').textContent !== words) byId('composer-wait-text').textContent = words;
    if (seconds <= 0) clearInterval(this.#ticking);
    this.#fit();
  }

  #toggle(closed) {
    this.#closed = closed;
    this.#tick();
    byId('composer-closed').hidden = !closed;
    byId('composer-box').hidden = closed;
    byId('composer-hint').hidden = closed;
  }

  #excess() {
    const bytes = encoder.encode(this.#input.value.trim()).length;
    if (bytes <= MOST_BYTES) return '';
    const over = (bytes - MOST_BYTES).toLocaleString();
    const most = MOST_BYTES.toLocaleString();
    return `This message is ${over} bytes too long. Up to ${most} fit; please shorten or split it.`;
  }
}

/** Makes a textarea as high as its text, up to a bound. @param {HTMLTextAreaElement} area */
export function fitHeight(area) {
  area.style.height = 'auto';
  area.style.height = `${Math.min(area.scrollHeight, TALLEST_PX)}px`;
}
