import { streamReply } from './assistant-stream.js';
import { copy } from './clipboard.js';
import { fitHeight } from './composer.js';
import { byId, element, iconButton } from './dom.js';
import { PinnedScroll } from './pinned-scroll.js';
import { formatted, linked } from './text.js';

const REMEMBERED = 10;
const STOPPED = 'Stopped.';
const SUGGESTIONS = [
  'What is a Server-Sent Event, in two sentences?',
  'Write a friendly welcome for newcomers to this room.',
  'Give me three icebreaker questions.',
];

/** A private conversation with the assistant, beside the room. */
export class Assistant {
  #api;
  #input = byId('assistant-input');
  #turns = byId('assistant-turns');
  #scroll = new PinnedScroll(byId('assistant-log'));
  #conversation = { id: undefined, turns: [] };
  #running = null;

  /** @param {import('./api.js').Api} api */
  constructor(api) {
    this.#api = api;
    byId('assistant-form').addEventListener('submit', (event) => this.#submit(event));
    byId('assistant-stop').addEventListener('click', () => this.stop());
    byId('assistant-clear').addEventListener('click', () => this.clear());
    this.#input.addEventListener('input', () => this.#fit());
    this.#input.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing && event.keyCode !== 229) this.#submit(event);
    });
    byId('assistant-chips').append(...SUGGESTIONS.map((text) => this.#chip(text)));
    this.#draw();
  }

  /** Ends the reply being written, here and on the server; what there is of it stays. */
  stop() {
    if (!this.#running) return;
    const { abort, messageId } = this.#running;
    abort.abort();
    if (messageId) this.#api.stopReply(messageId).catch(() => {});
  }

  /** Forgets the conversation. */
  clear() {
    this.stop();
    this.#running = null;
    this.#conversation = { id: undefined, turns: [] };
    this.#turns.replaceChildren();
    this.#draw();
    this.#input.focus();
  }

  #submit(event) {
    event.preventDefault();
    const text = this.#input.value.trim();
    if (!text || this.#running) return;
    this.#input.value = '';
    this.#ask(text);
  }

  async #ask(message) {
    const run = { abort: new AbortController(), messageId: null, conversation: this.#conversation };
    this.#running = run;
    this.#turns.append(element('li', { class: 'turn question', dir: 'auto' }, linked(message)));
    const reply = this.#newReply();
    this.#draw();
    this.#scroll.toEnd();
    const { text, problem } = await this.#read(message, run, reply);
    this.#finish(reply, text, problem);
    if (text) run.conversation.turns.push({ role: 'user', content: message }, { role: 'assistant', content: text });
    if (this.#running === run) this.#running = null;
    this.#draw();
  }

  /** @returns {Promise<{text: string, problem: string}>} the reply, and why it is not whole */
  async #read(message, run, reply) {
    const { conversation } = run;
    const question = { message, conversationId: conversation.id, history: conversation.turns.slice(-REMEMBERED) };
    let text = '';
    let problem = '';
    try {
      for await (const part of streamReply(this.#api, question, run.abort.signal)) {
        run.messageId = part.messageId ?? run.messageId;
        conversation.id = part.conversationId ?? conversation.id;
        if (part.type === 'content') text += part.text;
        else if (part.type === 'stopped') problem = STOPPED;
        else if (part.type === 'error') problem = part.message;
        this.#show(reply, text);
      }
    } catch (error) {
      problem = run.abort.signal.aborted ? STOPPED : error.message;
    }
    return { text, problem };
  }

  #newReply() {
    const thinking = element('span', { class: 'thinking', role: 'img', 'aria-label': 'Thinking' });
    const body = element('div', { class: 'reply-text', dir: 'auto' }, thinking);
    const turn = element('li', { class: 'turn reply', 'aria-busy': 'true' }, body);
    this.#turns.append(turn);
    return { turn, body };
  }

  #show({ body }, text) {
    if (!text) return;
    this.#scroll.during(this.#turns, () => body.replaceChildren(formatted(text)));
  }

  #finish({ turn, body }, text, problem) {
    turn.removeAttribute('aria-busy');
    if (!text) body.replaceChildren();
    this.#scroll.during(this.#turns, () => {
      if (problem) turn.append(element('p', { class: problem === STOPPED ? 'hint' : 'form-error' }, problem));
      if (text) turn.append(copyTool(text));
    });
  }

  #chip(text) {
    const chip = element('button', { type: 'button', class: 'chip' }, text);
    chip.addEventListener('click', () => {
      this.#input.focus();
      this.#ask(text);
    });
    return chip;
  }

  #draw() {
    const empty = !this.#turns.firstChild;
    byId('assistant-empty').hidden = !empty;
    byId('assistant-clear').hidden = empty;
    byId('assistant-send').hidden = Boolean(this.#running);
    byId('assistant-stop').hidden = !this.#running;
    this.#fit();
  }

  #fit() {
    fitHeight(this.#input);
    byId('assistant-send').disabled = !this.#input.value.trim();
  }
}

function copyTool(text) {
  const button = iconButton('copy', 'Copy reply', () => copy(text, 'Reply copied'));
  return element('div', { class: 'turn-tools' }, button);
}
