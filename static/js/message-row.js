import { avatar, hueClass } from './avatar.js';
import { formatDay, formatFull, formatTime } from './dates.js';
import { element, iconButton } from './dom.js';
import { noticeText } from './rows.js';
import { linked } from './text.js';

/**
 * The element of one row. It is built anew when the row changes; the list keeps its place.
 * @param {ReturnType<typeof import('./rows.js').rowsOf>[number]} row
 * @param {{own: boolean, actions: MessageActions}} context
 * @typedef {Record<'edit' | 'remove' | 'copy' | 'retry' | 'discard', (entry: object) => void>} MessageActions
 */
export function renderRow(row, context) {
  if (row.kind === 'day') return element('li', { class: 'day' }, element('span', {}, formatDay(row.entry.timestamp)));
  if (row.kind === 'notice') return element('li', { class: 'notice' }, noticeText(row.entry.people));
  return row.kind === 'draft' ? renderDraft(row.entry) : renderMessage(row, context);
}

function renderDraft(entry) {
  const { li, body } = frame({ ...entry, userId: 'assistant', username: 'Assistant', isFromBot: true }, true, false);
  li.classList.add('draft');
  li.setAttribute('aria-live', 'off');
  body.append(textOf(entry.message));
  if (!entry.done) body.lastChild.append(element('span', { class: 'caret', 'aria-hidden': 'true' }));
  return li;
}

function renderMessage({ entry, first }, { own, actions }) {
  const { li, body } = frame(entry, first, own);
  body.append(textOf(entry.message), footer(entry));
  if (entry.state === 'failed') body.append(failure(entry, actions));
  if (entry.id) li.append(toolbar(entry, own, actions));
  return li;
}

function frame(entry, first, own) {
  const classes = ['message', own && 'own', first && 'first', entry.isFromBot && 'bot'].filter(Boolean).join(' ');
  const body = element('div', { class: 'bubble' });
  const li = element('li', {
    class: classes,
    'data-message-id': entry.id ?? null,
    'data-client-message-id': entry.clientMessageId ?? null,
    'data-state': entry.state ?? null,
  });
  if (!own) li.append(first ? avatar(entry.userId, entry.username) : element('span', { class: 'avatar-gap' }));
  if (first && !own) body.append(author(entry));
  else body.append(element('span', { class: 'sr-only' }, own ? 'You: ' : `${entry.username}: `));
  li.append(body);
  return { li, body };
}

function author({ userId, username, isFromBot }) {
  return element(
    'p', { class: `author ${hueClass(userId)}` },
    element('bdi', { class: 'author-name' }, username),
    isFromBot ? element('span', { class: 'badge' }, 'AI') : null,
  );
}

function textOf(message) {
  return element('div', { class: 'message-text', dir: 'auto' }, linked(message));
}

function footer({ timestamp, editedAt, state }) {
  const iso = new Date(timestamp).toISOString();
  return element(
    'p', { class: 'message-foot' },
    state === 'sending' ? element('span', { class: 'sending' }, 'Sending…') : null,
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
