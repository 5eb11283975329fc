import { recall, remember, tabStorage } from '../storage.js';
import { button, iconButton, make, putText } from './build.js';
import { drawIcon, icon } from './icons.js';

const MOST_BYTES = 16_384;
const TALLEST_PX = 200;
const TICK_MS = 250;
const MUTED = { text: 'You are muted: you can read, but not write.', icon: 'mute', mayCheck: true };
const OUTSIDE = { text: 'You are not in this room any more.', icon: 'lock', mayCheck: false };
const encoder = new TextEncoder();

/** @typedef {import('../views/timeline.js').Message} Message */

/**
 * The box for writing and editing messages. Enter sends, Shift+Enter adds a line, ↑ in the empty box
 * edits the user's last message, Escape cancels that.
 */
export class Composer {
  #acts;
  #draftName;
  /** @type {Message | null} */
  #editing = null;
  #draft = '';
  #pausedUntil = 0;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #ticking;
  #closed = false;
  #typing = make('p', { id: 'typing', class: 'typing', part: 'typing', 'aria-live': 'off' });
  #editingText = make('span', { id: 'editing-text', dir: 'auto' });
  #editingRow = make('div', { id: 'editing', class: 'editing', hidden: true },
    icon('edit'), make('p', {}, 'Editing ', this.#editingText), iconButton('close', 'Cancel editing', () => this.#stopEditing()));
  #closedIcon = icon('lock');
  #closedText = make('p', { id: 'composer-closed-text' });
  #check = button({ id: 'composer-check', class: 'button small', hidden: true }, () => this.#acts.check(), 'Check again');
  #closedRow = make('div', { id: 'composer-closed', class: 'composer-closed', role: 'status', hidden: true },
    this.#closedIcon, this.#closedText, this.#check);
  #input = make('textarea', {
    id: 'composer-input', part: 'input', rows: 1, dir: 'auto', placeholder: 'Message', enterkeyhint: 'send',
    autocomplete: 'off', 'aria-describedby': 'composer-hint composer-wait-text composer-error',
  });
  #send = make('button', { id: 'composer-send', part: 'send', type: 'submit', class: 'icon-button send', 'aria-label': 'Send message' }, icon('send'));
  #box = make('div', { id: 'composer-box', class: 'composer-box' },
    make('label', { class: 'sr-only', for: 'composer-input' }, 'Message'), this.#input, this.#send);
  #waitText = make('span', { id: 'composer-wait-text' });
  #wait = make('p', { id: 'composer-wait', class: 'composer-wait', hidden: true }, icon('clock'), this.#waitText);
  #error = make('p', { id: 'composer-error', class: 'form-error', role: 'alert' });
  #hint = make('p', { id: 'composer-hint', class: 'composer-hint' },
    make('kbd', {}, 'Enter'), ' sends · ', make('kbd', {}, 'Shift'), ' ', make('kbd', {}, 'Enter'), ' new line · ',
    make('kbd', {}, '↑'), ' edits your last message · ', make('kbd', {}, '@ai'), ' asks the assistant');
  node = make('form', { id: 'composer', class: 'composer', part: 'composer' },
    this.#typing, this.#editingRow, this.#closedRow, this.#box, this.#wait, this.#error, this.#hint);

  /**
   * @param {{roomId: string, send: (text: string) => void, edit: (message: Message, text: string) => Promise<void>,
   *   typing: () => void, check: () => void, lastOwn: () => Message | undefined, leave: () => void,
   *   announce: (text: string) => void}} acts
   *   `check`: the user asks whether the closed box may be used again; `leave`: move the focus elsewhere
   */
  constructor(acts) {
    this.#acts = acts;
    this.#draftName = `draft.${acts.roomId}`;
    this.node.addEventListener('submit', (event) => this.#submit(event));
    this.#input.addEventListener('input', () => this.#onInput());
    this.#input.addEventListener('keydown', (event) => this.#onKey(event));
    this.#put(recall(tabStorage(), this.#draftName) ?? '');
  }

  /** @param {string} name of the room */
  name(name) {
    this.#input.placeholder = `Message ${name}`;
  }

  focus() {
    this.#input.focus();
  }

  /** Removes it from the page. */
  close() {
    clearInterval(this.#ticking);
    this.node.remove();
  }

  /** @param {import('../views/room.js').RoomState} state @param {(Node | string)[]} typing who is typing */
  draw({ state, muted, pausedUntil }, typing) {
    this.#typing.replaceChildren(...typing);
    if (state === 'closed') this.#shut(OUTSIDE);
    else if (muted) this.#shut(MUTED);
    else if (this.#closed) this.#open();
    if (pausedUntil > this.#pausedUntil) this.#pause(pausedUntil);
    if (!this.#input.style.height) this.#fit(); // it was not in a page before
  }

  /** Puts an unsent text back, before anything written since. @param {string} text */
  restore(text) {
    const rest = this.#input.value;
    this.#put(rest ? `${text}\n${rest}` : text);
    remember(tabStorage(), this.#draftName, this.#input.value);
  }

  /** Puts one of the user's messages into the box for editing. @param {Message} message */
  edit(message) {
    if (!this.#editing) this.#draft = this.#input.value;
    this.#editing = message;
    this.#editingRow.hidden = false;
    this.#editingText.textContent = message.message;
    this.#send.setAttribute('aria-label', 'Save the change');
    this.#put(message.message);
    this.focus();
  }

  /** Replaces the box by a sentence. @param {{text: string, icon: string, mayCheck: boolean}} why */
  #shut({ text, icon: name, mayCheck }) {
    if (this.#closed && this.#closedText.textContent === text) return;
    const hadFocus = this.#box.matches(':focus-within');
    this.#closedText.textContent = text;
    drawIcon(this.#closedIcon, name);
    this.#check.hidden = !mayCheck;
    this.#toggle(true);
    if (hadFocus) this.#acts.leave(); // not to a button: a user who is typing would press it
  }

  #open() {
    const hadFocus = this.#closedRow.matches(':focus-within');
    this.#toggle(false);
    if (hadFocus) this.focus();
  }

  /** @param {boolean} closed */
  #toggle(closed) {
    this.#closed = closed;
    this.#tick();
    this.#closedRow.hidden = !closed;
    this.#box.hidden = closed;
    this.#hint.hidden = closed;
  }

  #onInput() {
    this.#fit();
    this.#say(this.#excess());
    if (this.#editing) return;
    remember(tabStorage(), this.#draftName, this.#input.value || null);
    if (this.#input.value.trim()) this.#acts.typing();
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.isComposing || event.keyCode === 229) return; // Safari ends a composition before its Enter
    const plain = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey;
    if (event.key === 'Enter' && !event.shiftKey && !event.altKey) this.#submit(event);
    else if (event.key === 'Escape' && this.#editing) this.#cancel(event);
    else if (event.key === 'ArrowUp' && plain && !this.#input.value && !this.#editing) this.#editLast(event);
  }

  /** @param {Event} event */
  #editLast(event) {
    const message = this.#acts.lastOwn();
    if (!message) return;
    event.preventDefault();
    this.edit(message);
  }

  /** @param {Event} event */
  #cancel(event) {
    event.preventDefault();
    event.stopPropagation();
    this.#stopEditing();
  }

  /** @param {Event} event */
  #submit(event) {
    event.preventDefault();
    const text = this.#input.value.trim();
    if (!text || this.#excess() || this.#waits) return;
    if (this.#editing) this.#save(this.#editing, text);
    else {
      this.#put('');
      remember(tabStorage(), this.#draftName, null);
      this.#acts.send(text);
    }
    this.focus();
  }

  /** @param {Message} message @param {string} text */
  async #save(message, text) {
    if (text !== message.message) {
      try {
        await this.#acts.edit(message, text);
      } catch (error) {
        this.#say(`The change was not saved: ${/** @type {Error} */ (error).message}`);
        return;
      }
    }
    if (this.#editing === message) this.#stopEditing();
  }

  #stopEditing() {
    if (this.#editing) this.#put(this.#draft);
    this.#editing = null;
    this.#draft = '';
    this.#fit();
    this.#editingRow.hidden = true;
    this.#send.setAttribute('aria-label', 'Send message');
    this.focus();
  }

  /** @param {string} text */
  #put(text) {
    this.#input.value = text;
    this.#input.setSelectionRange(text.length, text.length);
    this.#say('');
    if (this.#input.isConnected) this.#fit();
  }

  /** @param {string} error */
  #say(error) {
    putText(this.#error, error);
  }

  #fit() {
    fitHeight(this.#input);
    this.#send.disabled = !this.#input.value.trim() || this.#waits;
  }

  /** Edits are not limited by slow mode. */
  get #waits() {
    return !this.#editing && Date.now() < this.#pausedUntil;
  }

  /** Allows no new message until then, and shows the time left. @param {number} until milliseconds since 1970 */
  #pause(until) {
    this.#pausedUntil = until;
    clearInterval(this.#ticking);
    this.#ticking = setInterval(() => this.#tick(), TICK_MS);
    this.#tick();
    if (this.#waitText.textContent) this.#acts.announce(this.#waitText.textContent);
  }

  #tick() {
    const seconds = Math.ceil((this.#pausedUntil - Date.now()) / 1000);
    putText(this.#waitText, seconds > 0 ? `Slow mode: your next message in ${seconds} s` : '');
    this.#wait.hidden = seconds <= 0 || this.#closed;
    if (seconds <= 0) clearInterval(this.#ticking);
    this.#fit();
  }

  #excess() {
    const bytes = encoder.encode(this.#input.value.trim()).length;
    if (bytes <= MOST_BYTES) return '';
    const over = (bytes - MOST_BYTES).toLocaleString();
    const most = MOST_BYTES.toLocaleString();
    return `This message is ${over} bytes too long. Up to ${most} fit; please shorten or split it.`;
  }
}

/** Makes a textarea as high as its text, up to a limit. @param {HTMLTextAreaElement} area */
export function fitHeight(area) {
  area.style.height = 'auto';
  area.style.height = `${Math.min(area.scrollHeight, TALLEST_PX)}px`;
}
