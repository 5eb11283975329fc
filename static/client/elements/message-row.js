import { RichText } from '../rich-text.js';
import { button, iconButton, make } from './build.js';
import { copyText } from './clipboard.js';
import { formatDay, formatFull, formatTime } from './dates.js';
import { icon } from './icons.js';
import { assistantAvatar, avatar, guestMark, hueClass, phrase } from './people.js';
import { summary } from './room-rows.js';

/**
 * @typedef {import('./room-rows.js').Row} Row
 * @typedef {import('../views/timeline.js').Message} Message
 * @typedef {Record<'edit' | 'remove' | 'copy' | 'retry' | 'discard' | 'stop' | 'askAgain', (message: Message) => void>
 *   & {fillGap: () => void}} MessageActions
 *
 * Returns the node for a text, which is never parsed as markup. `reply`: the assistant wrote it; `growing`:
 * more is to come; `node`: the result of an earlier call for the start of the text, which may be changed and reused.
 * @typedef {(text: string, how: {reply: boolean, growing: boolean, node?: HTMLElement}) => HTMLElement} Render
 *
 * @typedef {{render: Render, actions: MessageActions}} RowParts
 */

const LONG_CHARACTERS = 2400;
const LONG_LINES = 30;
/** @type {Record<string, string>} */
const NOTES = {
  interrupted: 'Interrupted: the server stopped while this was being written.',
  error: 'The reply failed before it was complete.',
};
/** @type {Record<string, string>} */
const UNSENT = { sending: 'Sending…', waiting: 'Waiting to send' };
/** @type {WeakMap<HTMLElement, HTMLElement>} the text of a reply being written */
const growing = new WeakMap();
/** @type {WeakMap<HTMLElement, RichText>} what assistants wrote, by its node */
const replies = new WeakMap();

/** Plain text; an assistant's text as Markdown that grows in place. @type {Render} */
export function showText(text, { reply, growing: open, node = make('div', { dir: 'auto' }) }) {
  if (!reply) {
    node.textContent = text;
    return node;
  }
  const rich = replies.get(node) ?? new RichText('', { tools: copyButton });
  rich.update(text, { open });
  replies.set(rich.node, rich);
  return rich.node;
}

/** @param {() => string} read */
function copyButton(read) {
  return iconButton('copy', 'Copy code', () => { void copyText(read()); });
}

/** @param {Row} row @param {RowParts} parts @returns {HTMLElement} */
export function makeRow({ kind, entry, first, moderates, asked }, parts) {
  if (kind === 'day') return make('li', { class: 'day' }, make('span', {}, formatDay(entry.timestamp)));
  if (entry.kind === 'notice') return noticeRow(entry);
  if (entry.kind === 'gap') return gapRow(entry, parts);
  return entry.state === 'streaming' ? draftRow(entry, asked, parts) : messageRow(entry, { first, moderates, asked }, parts);
}

/** Changes a row in place; the focus stays if possible. @param {HTMLElement} node @param {Row} row @param {RowParts} parts */
export function changeRow(node, row, parts) {
  const { entry } = row;
  const text = growing.get(node);
  if (text && entry.kind === 'message' && entry.state === 'streaming') growRow(node, text, entry, parts);
  else {
    growing.delete(node);
    morph(node, makeRow(row, parts));
  }
}

/** @param {HTMLElement} node @param {HTMLElement} next */
function morph(node, next) {
  const { activeElement: focused } = /** @type {Document | ShadowRoot} */ (node.getRootNode());
  const label = node.contains(focused) && focused?.getAttribute('aria-label');
  for (const { name } of [...node.attributes]) if (!next.hasAttribute(name)) node.removeAttribute(name);
  for (const { name, value } of next.attributes) node.setAttribute(name, value);
  node.replaceChildren(...next.childNodes);
  if (label) [...node.querySelectorAll('button')].find((other) => other.getAttribute('aria-label') === label)?.focus();
}

/** @param {import('../views/timeline.js').Notice} notice */
function noticeRow({ people }) {
  const sentences = summary(people).map(({ names, verb }) => [...phrase(names), ` ${verb}`]);
  return make('li', { class: 'notice' }, ...sentences.flatMap((words, index) => (index ? [' · ', ...words] : words)));
}

/** The button stays during the attempt, and with it the focus. @param {import('../views/timeline.js').Gap} gap @param {RowParts} parts */
function gapRow({ trying }, { actions }) {
  const label = 'Try again to load the missing messages';
  const again = button({ class: 'link-button', 'aria-label': label }, actions.fillGap, 'Try again');
  const words = trying ? 'Loading the messages that are missing here…' : 'Messages may be missing here.';
  return make('li', { class: 'gap' }, make('span', {}, words), ' ', again);
}

/** Screen readers read it once, when it is complete. @param {Message} reply @param {boolean} asked @param {RowParts} parts */
function draftRow(reply, asked, parts) {
  const { li, bubble } = frame(reply, true);
  const text = shown(reply, parts);
  bubble.append(text, make('div', { class: 'reply-status' }, ...draftStatus(reply)));
  if (asked) bubble.append(stopButton(reply, parts));
  li.classList.add('draft');
  li.setAttribute('aria-live', 'off');
  growing.set(li, text);
  return li;
}

/** Shows the new text of a reply. @param {HTMLElement} li @param {HTMLElement} before @param {Message} reply @param {RowParts} parts */
function growRow(li, before, reply, parts) {
  const text = shown(reply, parts, before);
  if (text !== before) before.replaceWith(text);
  growing.set(li, text);
  li.querySelector('.reply-status')?.replaceChildren(...draftStatus(reply));
}

/** @param {Message} reply */
function draftStatus({ place, message }) {
  if (place) return [make('p', { class: 'reply-note' }, `Waiting its turn: number ${place} in the queue`)];
  return message ? [] : [make('span', { class: 'thinking', role: 'img', 'aria-label': 'Thinking' })];
}

/** @param {Message} reply @param {RowParts} parts */
function stopButton(reply, { actions }) {
  const node = button({ class: 'button small reply-stop', 'aria-label': 'Stop the reply' }, () => {
    node.disabled = true;
    actions.stop(reply);
  }, icon('stop'), 'Stop');
  return node;
}

/** @param {Message} message @param {{first: boolean, moderates: boolean, asked: boolean}} row @param {RowParts} parts */
function messageRow(message, { first, moderates, asked }, parts) {
  const { li, bubble } = frame(message, first);
  const text = shown(message, parts);
  const unfold = isLong(message.message) ? fold(text) : null;
  const note = replyNote(message, asked ? parts : null);
  bubble.append(make('div', { class: 'message-line' }, text, unfold, note, footer(message)));
  if (message.state === 'failed') bubble.append(failure(message, parts));
  if (message.id) bubble.append(toolbar(message, { moderates, asked }, parts));
  return li;
}

/** @param {Message} message @param {RowParts} parts @param {HTMLElement} [before] */
function shown({ message, isFromBot, state }, { render }, before) {
  const node = render(message, { reply: Boolean(isFromBot), growing: state === 'streaming', node: before });
  node.classList.add('message-text');
  return node;
}

/** How an incomplete reply ended. @param {Message} message @param {RowParts | null} parts given if the user may ask again */
function replyNote(message, parts) {
  const { replyState = '', stoppedBy, messageId } = message;
  const stopped = replyState === 'stopped' ? ['Stopped by ', make('bdi', {}, stoppedBy || 'somebody')] : null;
  const words = stopped ?? (replyState in NOTES ? [NOTES[replyState]] : null);
  if (!words) return null;
  const again = parts && messageId ? button({ class: 'link-button' }, () => parts.actions.askAgain(message), 'Ask again') : null;
  return make('p', { class: stopped ? 'reply-note' : 'reply-note problem' }, make('span', {}, ...words), again);
}

/** Focusable, so that a tap shows the tools on devices without hover. @param {Message} message @param {boolean} first */
function frame(message, first) {
  const { own, isFromBot, username, guest, state } = message;
  const bubble = make('div', { class: 'bubble', part: 'bubble' });
  const li = make('li', {
    class: ['message', own && 'own', first && 'first', isFromBot && 'bot'].filter(Boolean).join(' '),
    part: 'message', tabindex: -1, 'aria-busy': isFromBot ? String(state === 'streaming') : null,
    'data-message-id': message.id, 'data-client-message-id': message.clientMessageId, 'data-state': state,
  });
  if (!own) li.append(first ? face(message) : make('span', { class: 'avatar-gap' }));
  if (first && !own) bubble.append(author(message));
  else bubble.append(make('span', { class: 'sr-only' }, own ? 'You: ' : `${username}${guest ? ' (guest)' : ''}: `));
  li.append(bubble);
  return { li, bubble };
}

/** @param {Message} message */
function face({ isFromBot, userId, username }) {
  return isFromBot ? assistantAvatar() : avatar(userId, username);
}

/** @param {Message} message */
function author({ userId, username, isFromBot, guest }) {
  return make('p', { class: `author ${isFromBot ? '' : hueClass(userId)}`, part: 'author' },
    make('bdi', { class: 'author-name', title: username }, username),
    isFromBot ? make('span', { class: 'badge' }, 'AI') : null,
    guest && !isFromBot ? guestMark() : null);
}

/** @param {string} message */
function isLong(message) {
  return message.length > LONG_CHARACTERS || message.split('\n', LONG_LINES + 1).length > LONG_LINES;
}

/** Cuts a very long text to a part of the screen until the user expands it. @param {HTMLElement} text */
function fold(text) {
  text.classList.add('folded');
  const node = button({ class: 'link-button unfold' }, () => {
    text.classList.remove('folded');
    node.remove();
  }, 'Show all');
  return node;
}

/** @param {Message} message */
function footer({ timestamp, editedAt, state }) {
  const datetime = new Date(timestamp).toISOString();
  return make('p', { class: 'message-foot' },
    state in UNSENT ? make('span', {}, UNSENT[state]) : null,
    editedAt ? make('span', { class: 'edited' }, 'edited') : null,
    make('time', { datetime, title: formatFull(timestamp) }, formatTime(timestamp)));
}

/** @param {Message} message @param {RowParts} parts */
function failure(message, { actions }) {
  const act = (/** @type {string} */ name, /** @type {(message: Message) => void} */ run) =>
    button({ class: 'link-button' }, () => run(message), name);
  return make('p', { class: 'failure', role: 'alert' }, `Not sent: ${message.error} `, act('Retry', actions.retry), act('Discard', actions.discard));
}

/** @param {Message} message @param {{moderates: boolean, asked: boolean}} rights @param {RowParts} parts */
function toolbar(message, { moderates, asked }, { actions }) {
  const { own, messageId } = message;
  const tools = [iconButton('copy', 'Copy text', () => actions.copy(message))];
  if (own) tools.push(iconButton('edit', 'Edit message', () => actions.edit(message)));
  if (asked && messageId) tools.push(iconButton('retry', 'Ask again', () => actions.askAgain(message)));
  if (own || moderates) tools.push(iconButton('delete', 'Delete message', () => actions.remove(message)));
  return make('div', { class: 'message-tools' }, ...tools);
}
