import { assistantAvatar, avatar, hueClass } from './avatar.js';
import { formatDay, formatFull, formatTime } from './dates.js';
import { element, icon, iconButton } from './dom.js';
import { guestMark, phrase } from './names.js';
import { summary } from './rows.js';
import { RichText } from './rich-text.js';
import { linked } from './text.js';

const LONG_CHARACTERS = 2400;
const LONG_LINES = 30;
const NOTES = {
  interrupted: 'Interrupted: the server stopped while this was being written.',
  error: 'The reply failed before its end.',
};
const UNSENT = { sending: 'Sending…', delayed: 'Waiting to send' };
const drafts = new WeakMap();

/**
 * A new element for one row.
 * @param {ReturnType<typeof import('./rows.js').rowsOf>[number]} row
 * @param {{own: boolean, moderates: boolean, asked: boolean, actions: MessageActions}} context
 *   `asked`: the user may stop this reply, and ask for another one
 * @typedef {Record<'edit' | 'remove' | 'copy' | 'retry' | 'discard' | 'stop' | 'askAgain' | 'fillGap',
 *   (entry: object) => void>} MessageActions
 */
export function renderRow(row, context) {
  if (row.kind === 'day') return element('li', { class: 'day' }, element('span', {}, formatDay(row.entry.timestamp)));
  if (row.kind === 'notice') return renderNotice(row.entry);
  if (row.kind === 'gap') return renderGap(row.entry, context);
  return row.kind === 'draft' ? renderDraft(row.entry, context) : renderMessage(row, context);
}

function renderNotice({ people }) {
  const sentences = summary(people).map(({ names, verb }) => [...phrase(names), ` ${verb}`]);
  return element('li', { class: 'notice' }, ...sentences.flatMap((words, index) => (index ? [' · ', ...words] : words)));
}

/** The button stays while it is tried, and with it the focus. */
function renderGap({ trying }, { actions }) {
  const attributes = { type: 'button', class: 'link-button', 'aria-label': 'Try again to load the missing messages' };
  const again = element('button', attributes, 'Try again');
  again.addEventListener('click', () => actions.fillGap());
  const words = trying ? 'Loading the messages that are missing here…' : 'Messages may be missing here.';
  return element('li', { class: 'gap' }, element('span', {}, words), ' ', again);
}

function renderDraft(entry, { asked, actions }) {
  const { li, bubble } = frame({ ...entry, userId: 'assistant', username: 'Assistant', isFromBot: true }, true, false);
  const text = new RichText();
  const status = element('div', { class: 'reply-status' });
  bubble.append(text.node, status);
  if (asked) bubble.append(stopButton(entry, actions));
  li.classList.add('draft');
  li.setAttribute('aria-live', 'off');
  drafts.set(li, { text, status });
  updateDraft(li, entry);
  return li;
}

/**
 * Shows what a reply has grown by, in its place.
 * @param {HTMLElement} li @param {object} entry
 * @returns {boolean} false for an element that shows no reply being written
 */
export function updateDraft(li, entry) {
  const draft = drafts.get(li);
  if (!draft) return false;
  draft.text.update(entry.message, { open: !entry.done });
  draft.status.replaceChildren(...draftStatus(entry));
  if (entry.done) li.querySelector('.reply-stop')?.remove();
  return true;
}

function draftStatus(entry) {
  if (entry.place) return [element('p', { class: 'reply-note' }, `Waiting its turn: number ${entry.place} in the queue`)];
  if (entry.done) return entry.replyState === 'stopped' ? [replyNote(entry)] : [];
  if (entry.message) return [];
  return [element('span', { class: 'thinking', role: 'img', 'aria-label': 'Thinking' })];
}

function stopButton(entry, actions) {
  const button = element('button', { type: 'button', class: 'button small reply-stop' }, icon('stop'), 'Stop');
  button.setAttribute('aria-label', 'Stop the reply');
  button.addEventListener('click', () => {
    button.disabled = true;
    actions.stop(entry);
  });
  return button;
}

function renderMessage({ entry, first }, context) {
  const { own, actions } = context;
  const { li, bubble } = frame(entry, first, own);
  const text = entry.isFromBot ? new RichText(entry.message).node : textOf(entry.message);
  if (entry.isFromBot) text.classList.add('message-text');
  const unfold = isLong(entry.message) ? fold(text) : null;
  const note = replyNote(entry, context.asked ? actions : null);
  bubble.append(element('div', { class: 'message-line' }, text, unfold, note, footer(entry)));
  if (entry.state === 'failed') bubble.append(failure(entry, actions));
  if (entry.id) bubble.append(toolbar(entry, context));
  return li;
}

/** How a reply ended that is not whole. */
function replyNote(entry, actions = null) {
  const { replyState, stoppedBy } = entry;
  const stopped = replyState === 'stopped' ? ['Stopped by ', element('bdi', {}, stoppedBy || 'somebody')] : null;
  const words = stopped ?? (replyState in NOTES ? [NOTES[replyState]] : null);
  if (!words) return null;
  const again = actions && element('button', { type: 'button', class: 'link-button' }, 'Ask again');
  again?.addEventListener('click', () => actions.askAgain(entry));
  const look = stopped ? 'reply-note' : 'reply-note problem';
  return element('p', { class: look }, element('span', {}, ...words), again);
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
  else bubble.append(element('span', { class: 'sr-only' }, own ? 'You: ' : `${entry.username}${entry.guest ? ' (guest)' : ''}: `));
  li.append(bubble);
  return { li, bubble };
}

function face({ isFromBot, userId, username }) {
  return isFromBot ? assistantAvatar() : avatar(userId, username);
}

function author({ userId, username, isFromBot, guest }) {
  return element(
    'p', { class: `author ${isFromBot ? '' : hueClass(userId)}` },
    element('bdi', { class: 'author-name', title: username }, username),
    isFromBot ? element('span', { class: 'badge' }, 'AI') : null,
    guest && !isFromBot ? guestMark() : null,
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
    state in UNSENT ? element('span', {}, UNSENT[state]) : null,
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

function toolbar(entry, { own, moderates, asked, actions }) {
  const bar = element('div', { class: 'message-tools' }, iconButton('copy', 'Copy text', () => actions.copy(entry)));
  if (own) bar.append(iconButton('edit', 'Edit message', () => actions.edit(entry)));
  if (asked && entry.messageId) bar.append(iconButton('retry', 'Ask again', () => actions.askAgain(entry)));
  if (own || moderates) bar.append(iconButton('delete', 'Delete message', () => actions.remove(entry)));
  return bar;
}
