import { assistantAvatar, avatar, hueClass } from './avatar.js';
import { formatDay, formatFull, formatTime } from './dates.js';
import { element, iconButton } from './dom.js';
import { phrase } from './names.js';
import { summary } from './rows.js';
import { linked } from './text.js';

const LONG_CHARACTERS = 2400;
const LONG_LINES = 30;

/**
 * A new element for one row.
 * @param {ReturnType<typeof import('./rows.js').rowsOf>[number]} row
 * @param {{own: boolean, actions: MessageActions}} context
 * @typedef {Record<'edit' | 'remove' | 'copy' | 'retry' | 'discard', (entry: object) => void>} MessageActions
 */
export function renderRow(row, context) {
  if (row.kind === 'day') return element('li', { class: 'day' }, element('span', {}, formatDay(row.entry.timestamp)));
  if (row.kind === 'notice') return renderNotice(row.entry);
  return row.kind === 'draft' ? renderDraft(row.entry) : renderMessage(row, context);
}

function renderNotice({ people }) {
  const sentences = summary(people).map(({ names, verb }) => [...phrase(names), ` ${verb}`]);
  return element('li', { class: 'notice' }, ...sentences.flatMap((words, index) => (index ? [' · ', ...words] : words)));
}

function renderDraft(entry) {
  const { li, bubble } = frame({ ...entry, userId: 'assistant', username: 'Assistant', isFromBot: true }, true, false);
  const text = textOf(entry.message);
  if (!entry.done) text.append(element('span', { class: 'caret', 'aria-hidden': 'true' }));
  bubble.append(text);
  li.classList.add('draft');
  li.setAttribute('aria-live', 'off');
  return li;
}

function renderMessage({ entry, first }, { own, actions }) {
  const { li, bubble } = frame(entry, first, own);
  const text = textOf(entry.message);
  const unfold = isLong(entry.message) ? fold(text) : null;
  bubble.append(element('div', { class: 'message-line' }, text, unfold, footer(entry)));
  if (entry.state === 'failed') bubble.append(failure(entry, actions));
  if (entry.id) bubble.append(toolbar(entry, own, actions));
  return li;
}

/** Can take the focus, so that a tap shows the tools where nothing hovers. */
function frame(entry, first, own) {
  const bubble = element('div', { class: 'bubble' });
  const li = element('li', {
    class: ['message', own && 'own', first && 'first', entry.isFromBot && 'bot'].filter(Boolean).join(' '),
    tabindex: -1,
    'data-message-id': entry.id ?? null,
    'data-client-message-id': entry.clientMessageId ?? null,
    'data-state': entry.state ?? null,
  });
  if (!own) li.append(first ? face(entry) : element('span', { class: 'avatar-gap' }));
  if (first && !own) bubble.append(author(entry));
  else bubble.append(element('span', { class: 'sr-only' }, own ? 'You: ' : `${entry.username}: `));
  li.append(bubble);
  return { li, bubble };
}

function face({ isFromBot, userId, username }) {
  return isFromBot ? assistantAvatar() : avatar(userId, username);
}

function author({ userId, username, isFromBot }) {
  return element(
    'p', { class: `author ${isFromBot ? '' : hueClass(userId)}` },
    element('bdi', { class: 'author-name' }, username),
    isFromBot ? element('span', { class: 'badge' }, 'AI') : null,
  );
}

function textOf(message) {
  return element('div', { class: 'message-text', dir: 'auto' }, linked(message));
}

function isLong(message) {
  return message.length > LONG_CHARACTERS || message.split('\n', LONG_LINES + 1).length > LONG_LINES;
}

/** A very long text is cut to a part of the screen until somebody wants it all. */
function fold(text) {
  const button = element('button', { type: 'button', class: 'link-button unfold' }, 'Show all');
  button.addEventListener('click', () => {
    text.classList.remove('folded');
    button.remove();
  });
  text.classList.add('folded');
  return button;
}

function footer({ timestamp, editedAt, state }) {
  const iso = new Date(timestamp).toISOString();
  return element(
    'p', { class: 'message-foot' },
    state === 'sending' ? element('span', {}, 'Sending…') : null,
    editedAt ? element('span', { class: 'edited' }, 'edited') : null,
    element('time', { datetime: iso, title: formatFull(timestamp) }, formatTime(timestamp)),
  );
}

function failure(entry, actions) {
  const retry = element('button', { type: 'button', class: 'link-button' }, 'Retry');
  const discard = element('button', { type: 'button', class: 'link-button' }, 'Discard');
  retry.addEventListener('click', () => actions.retry(entry));
  discard.addEventListener('click', () => actions.discard(entry));
  return element('p', { class: 'failure', role: 'alert' }, `Not sent: ${entry.reason} `, retry, discard);
}

function toolbar(entry, own, actions) {
  const bar = element('div', { class: 'message-tools' }, iconButton('copy', 'Copy text', () => actions.copy(entry)));
  if (own) {
    bar.append(iconButton('edit', 'Edit message', () => actions.edit(entry)));
    bar.append(iconButton('delete', 'Delete message', () => actions.remove(entry)));
  }
  return bar;
}
