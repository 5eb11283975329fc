import { fitHeight } from '../client/elements/composer.js';
import { PinnedScroll } from '../client/elements/scroll.js';
import { copy } from './clipboard.js';
import { byId, element, iconButton } from './dom.js';
import { RichText } from './rich-text.js';
import { linked } from './text.js';

const REMEMBERED = 10;
const STOPPED = 'Stopped.';
const SUGGESTIONS = [
  'What is a Server-Sent Event, in two sentences?',
  'Write a friendly welcome for newcomers to this room.',
  'Give me three icebreaker questions.',
];

/** A private conversation with the assistant, beside the room. */
export class Assistant {
  #client;
  #input = byId('assistant-input');
  #turns = byId('assistant-turns');
  #scroll = new PinnedScroll(byId('assistant-log'));
  #conversation = { id: undefined, turns: [] };
  #running = null;

  /** @param {{client: import('../client/chatrooms.js').Chatrooms}} options */
  constructor({ client }) {
    this.#client = client;
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

  /** Ends the reply being written, here and on the server; its text so far stays. */
  stop() {
    if (!this.#running) return;
    const { abort, reply } = this.#running;
    abort.abort();
    reply?.stop().catch(() => {});
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
    for (const old of this.#turns.querySelectorAll('.again')) old.remove(); // only the last can be asked again
    this.#turns.append(element('li', { class: 'turn question', dir: 'auto' }, linked(message)));
    await this.#answer(message);
  }

  async #answer(message) {
    const run = { abort: new AbortController(), reply: null, conversation: this.#conversation };
    this.#running = run;
    const before = run.conversation.turns.length;
    const reply = this.#newReply();
    this.#draw();
    this.#scroll.toEnd();
    const { text, problem } = await this.#read(message, run, reply);
    if (text) run.conversation.turns.push({ role: 'user', content: message }, { role: 'assistant', content: text });
    this.#finish(reply, text, problem, () => this.#answerAgain(message, run.conversation, before, reply));
    if (this.#running === run) this.#running = null;
    this.#draw();
  }

  /** Replaces this reply by another one to the same question. */
  #answerAgain(message, conversation, before, { turn }) {
    if (this.#running || conversation !== this.#conversation) return;
    conversation.turns.length = before;
    turn.remove();
    this.#input.focus();
    this.#answer(message);
  }

  /** @returns {Promise<{text: string, problem: string}>} the reply, and why it is incomplete */
  async #read(message, run, reply) {
    const { conversation, abort: { signal } } = run;
    const question = { message, conversationId: conversation.id, history: conversation.turns.slice(-REMEMBERED) };
    let text = '';
    let problem = '';
    try {
      run.reply = await this.#client.streamReply(question, { signal });
      for await (const part of run.reply) {
        conversation.id = run.reply.conversationId ?? conversation.id;
        if (part.type === 'content') text += part.text;
        else if (part.type === 'queued') this.#queued(reply, part.position);
        else if (part.type === 'stopped') problem = this.#stoppedBy(part.by);
        else if (part.type === 'error') problem = part.message;
        this.#show(reply, text);
      }
    } catch (error) {
      problem = signal.aborted ? STOPPED : error.message;
    }
    return { text, problem };
  }

  #newReply() {
    const thinking = element('span', { class: 'thinking', role: 'img', 'aria-label': 'Thinking' });
    const body = element('div', { class: 'reply-text' }, thinking);
    const turn = element('li', { class: 'turn reply', 'aria-busy': 'true' }, body);
    this.#turns.append(turn);
    return { turn, body, rich: new RichText() };
  }

  #show({ body, rich }, text, open = true) {
    if (!text) return;
    this.#scroll.during(this.#turns, () => {
      if (!rich.node.isConnected) body.replaceChildren(rich.node);
      rich.update(text, { open });
    });
  }

  #queued({ body }, position) {
    const words = `Waiting its turn: number ${position} in the queue`;
    body.replaceChildren(element('p', { class: 'hint' }, words));
  }

  #stoppedBy(name) {
    return name && name !== this.#client.user?.username ? `Stopped by ${name}.` : STOPPED;
  }

  #finish(reply, text, problem, again) {
    const { turn, body } = reply;
    turn.removeAttribute('aria-busy');
    if (!text) body.replaceChildren();
    this.#show(reply, text, false);
    this.#scroll.during(this.#turns, () => {
      if (problem) turn.append(element('p', { class: problem.startsWith('Stopped') ? 'hint' : 'form-error' }, problem));
      turn.append(tools(text, again));
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

function tools(text, again) {
  const retry = iconButton('retry', 'Ask again', again);
  retry.classList.add('again');
  const copying = text ? iconButton('copy', 'Copy reply', () => copy(text, 'Reply copied')) : null;
  return element('div', { class: 'turn-tools' }, copying, retry);
}
