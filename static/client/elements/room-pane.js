import { asHttpError } from '../http.js';
import { copyText } from './clipboard.js';
import { Composer } from './composer.js';
import { ConnectionLine } from './connection-line.js';
import { MessageList } from './message-list.js';
import { phrase } from './people.js';

/** @typedef {import('../views/timeline.js').Message} Message */

/** A room's messages above its composer. The caller puts the nodes of both into a page. */
export class RoomPane {
  #view;
  #notify;
  #confirm;
  #closing = new AbortController();

  /**
   * @param {import('../views/room.js').RoomView} view
   * @param {{roomId: string, render: import('./message-row.js').Render, empty: HTMLElement,
   *   announce: (text: string) => void, notify: (text: string) => void, confirm?: (message: Message) => Promise<boolean>}} parts
   *   `empty`: shown while nothing has been said; `announce` reads a sentence to screen readers, `notify` shows it
   *   too; `confirm`: asks before a message is deleted
   */
  constructor(view, { roomId, render, empty, announce, notify, confirm = async () => true }) {
    this.#view = view;
    this.#notify = notify;
    this.#confirm = confirm;
    this.list = new MessageList({ render, empty, actions: this.#actions(), loadOlder: view.loadOlder, onReadBack: view.keepOlder });
    this.composer = new Composer({
      roomId,
      send: (text) => {
        view.send(text);
        this.list.toEnd();
      },
      edit: ({ id = '' }, text) => view.edit(id, text),
      typing: view.typing,
      check: () => this.#check(),
      lastOwn: () => [...view.get().messages].reverse().find(({ own, id }) => own && id),
      leave: () => this.list.focus(),
      announce,
    });
    this.connection = new ConnectionLine(view, announce);
    this.#listen('message', ({ userId }) => String(userId) === String(view.get().user?.userId) || this.list.count());
    this.#listen('replay', () => this.list.hush());
    this.#listen('gap', () => announce('Some messages could not be loaded.'));
    this.#listen('refused', ({ draft, error }) => error.code === 'muted' && this.#takeBack(draft));
  }

  /** @param {string} name of the room @param {string} [label] of its messages */
  name(name, label = 'Messages') {
    this.composer.name(name);
    this.list.name(label);
  }

  /** @param {import('../views/room.js').RoomState} state */
  draw(state) {
    this.connection.draw(state);
    this.list.draw(state);
    this.composer.draw(state, typingWords(state.typingUsers));
  }

  /** Removes it from the page. */
  close() {
    this.#closing.abort();
    this.#view.keepOlder(false);
    this.connection.close();
    this.list.node.remove();
    this.composer.close();
  }

  /** @param {string} type @param {(detail: any) => unknown} handler */
  #listen(type, handler) {
    const { signal } = this.#closing;
    this.#view.addEventListener(type, (event) => handler(/** @type {CustomEvent} */ (event).detail), { signal });
  }

  #actions() {
    const view = this.#view;
    return {
      edit: (/** @type {Message} */ message) => this.composer.edit(message),
      remove: (/** @type {Message} */ message) => this.#remove(message),
      copy: async (/** @type {Message} */ { message }) => {
        this.#notify(await copyText(message) ? 'Message copied' : 'Your browser did not allow copying');
      },
      retry: (/** @type {Message} */ { clientMessageId = '' }) => view.retry(clientMessageId),
      discard: (/** @type {Message} */ { clientMessageId = '' }) => view.discard(clientMessageId),
      stop: (/** @type {Message} */ { messageId = '' }) => this.#try(() => view.stopReply(messageId), 'Not stopped'),
      askAgain: (/** @type {Message} */ { messageId = '' }) => this.#try(() => view.askAgain(messageId), 'Not asked'),
      fillGap: view.fillGap,
    };
  }

  /** @param {Message} message */
  async #remove(message) {
    if (!(await this.#confirm(message))) return;
    await this.#try(() => this.#view.remove(message.id ?? ''), 'Not deleted');
    this.composer.focus();
  }

  /** A refused message goes back into the box. @param {import('../outbox.js').Draft} draft */
  #takeBack({ clientMessageId, message }) {
    this.#view.discard(clientMessageId);
    this.composer.restore(message);
  }

  #check() {
    const words = async () => this.#notify(await this.#view.checkMute() ? 'You may write again' : 'You are still muted');
    return this.#try(words, 'Not checked');
  }

  /** @param {() => Promise<unknown>} act @param {string} problem shown when it fails */
  async #try(act, problem) {
    try {
      await act();
    } catch (thrown) {
      this.#notify(`${problem}: ${asHttpError(thrown).message}`);
    }
  }
}

/** @param {readonly string[]} names */
function typingWords(names) {
  return names.length ? [...phrase(names), ` ${names.length === 1 ? 'is' : 'are'} typing…`] : [];
}
