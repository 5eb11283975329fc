import { RICH_STYLE } from '../rich-style.js';
import { RichText } from '../rich-text.js';
import { make, template } from './build.js';
import { showTime } from './words.js';

export const ROW_STYLE = `${RICH_STYLE}
li { position: relative; padding: 9px 12px 1px; margin-top: 2px; }
li[data-follows] { padding-top: 1px; margin-top: 0; }
.who { display: flex; align-items: baseline; gap: 8px; }
li[data-follows] .who { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.author { font-size: 13.5px; font-weight: 650; unicode-bidi: isolate; }
.guest:empty { display: none; }
li[data-bot] .author { color: var(--accent); }
.bubble {
  width: fit-content; max-width: 100%; margin-top: 3px; padding: 6px 11px; border-radius: 10px;
  background: var(--raised); white-space: pre-wrap;
}
li[data-own] .bubble { background: var(--own); }
li[data-state="sending"] .bubble, li[data-state="waiting"] .bubble { opacity: .65; }
li[data-state="failed"] .bubble { box-shadow: inset 0 0 0 1px var(--danger); background: transparent; }
li[data-state="streaming"] .bubble:not(:has(.rich > :not([hidden])))::after {
  content: ""; display: inline-block; width: .5em; height: 1em; margin-inline-start: 2px; vertical-align: -.15em;
  background: var(--accent); animation: blink 1s steps(2, jump-none) infinite;
}
.note { display: block; font-size: 12.5px; color: var(--soft); }
li[data-state="failed"] .note { color: var(--danger); }
.note:empty { display: none; }
.acts { display: flex; gap: 4px; }
.acts:not([hidden]) { margin-top: 4px; }
li:not([data-state="failed"]) .acts {
  position: absolute; inset-inline-end: 8px; top: -10px; margin: 0; padding: 2px; border: 1px solid var(--line);
  border-radius: 8px; background: var(--surface); opacity: 0;
}
li:hover .acts, li:focus-within .acts { opacity: 1; }
.acts button { min-height: 26px; padding: 0 8px; border: 0; }
li[data-state="failed"] .acts button { border: 1px solid var(--line); }
@media (hover: none) {
  li:not([data-state="failed"]) .acts { position: static; width: fit-content; margin-top: 2px; opacity: 1; border: 0; background: none; }
  .acts button { min-height: 44px; }
}
@media (prefers-reduced-motion: reduce) { li .bubble::after { animation: none !important; } }
@keyframes blink { from { opacity: 1; } to { opacity: 0; } }
`;

const NOTES = { waiting: 'Not sent yet: trying again…', queued: 'Waiting for its turn…', stopped: 'Stopped', error: 'Broken off', interrupted: 'Broken off' };
const SOON_MS = 5 * 60_000;

/** @type {WeakMap<HTMLElement, RichText>} */
const replies = new WeakMap(); // what the assistant wrote, by its bubble

const ROW = template(make('li', { part: 'message' },
  make('div', { class: 'who' }, make('span', { class: 'author', part: 'author' }), make('span', { class: 'guest quiet' }), make('time', { class: 'quiet' })),
  make('div', { class: 'bubble', part: 'bubble' }),
  make('span', { class: 'note' }),
  make('div', { class: 'acts', role: 'group' }),
));

/** @typedef {import('../views/timeline.js').Message} Message */

export function makeRow() {
  return /** @type {HTMLElement} */ (ROW.content.firstElementChild?.cloneNode(true));
}

/** @param {HTMLElement} node @param {Message} message @param {boolean} follows */
export function fillRow(node, message, follows) {
  const part = (/** @type {string} */ name) => /** @type {HTMLElement} */ (node.querySelector(name));
  const { state, own, isFromBot, username, replyState = '' } = message;
  node.dataset.key = message.key;
  node.dataset.state = state;
  node.toggleAttribute('data-own', own);
  node.toggleAttribute('data-bot', Boolean(isFromBot));
  node.toggleAttribute('data-follows', follows);
  // A reply that grows is read out once, when it is whole.
  node.setAttribute('aria-busy', String(state === 'streaming'));
  part('.author').textContent = own ? `${username} (you)` : username || (isFromBot ? 'Assistant' : '');
  part('.guest').textContent = message.guest && !isFromBot ? 'guest' : '';
  showTime(/** @type {HTMLTimeElement} */ (part('time')), message.timestamp);
  if (isFromBot) fillReply(part('.bubble'), message);
  else part('.bubble').textContent = message.message;
  part('.note').textContent = noteOf(message, replyState);
  drawActs(part('.acts'), message);
}

/** @param {HTMLElement} bubble @param {Message} message */
function fillReply(bubble, { message, state }) {
  const reply = replies.get(bubble) ?? new RichText('', { tools: copyButton });
  reply.update(message, { open: state === 'streaming' });
  if (!replies.has(bubble)) bubble.replaceChildren(reply.node);
  replies.set(bubble, reply);
}

/** @param {() => string} read */
function copyButton(read) {
  const button = make('button', { type: 'button', 'aria-label': 'Copy code' }, 'Copy');
  button.hidden = !navigator.clipboard; // as on plain HTTP
  button.addEventListener('click', () => navigator.clipboard.writeText(read()).then(() => { button.textContent = 'Copied'; }, () => {}));
  return button;
}

/** @param {Message} message @param {string} replyState */
function noteOf({ state, error, editedAt }, replyState) {
  if (state === 'failed') return error ?? 'Not sent.';
  const notes = /** @type {Record<string, string>} */ (NOTES);
  return notes[state] ?? notes[replyState] ?? (editedAt ? 'edited' : '');
}

/** @param {HTMLElement} acts @param {Message} message */
function drawActs(acts, { state, own, id }) {
  const names = state === 'failed' ? ['Retry', 'Discard'] : own && id ? ['Edit', 'Delete'] : [];
  acts.hidden = !names.length;
  if (acts.dataset.names === names.join()) return; // who has the focus on one keeps it
  acts.dataset.names = names.join();
  acts.replaceChildren(...names.map((name) => make('button', { type: 'button', 'data-act': name.toLowerCase() }, name)));
}

/** Whether it needs no name of its own: the same person, soon after. @param {Message} message @param {Message} before */
export function follows(message, before) {
  const same = message.userId === before.userId && message.username === before.username && message.guest === before.guest;
  return same && !message.isFromBot && !before.isFromBot && message.timestamp - before.timestamp < SOON_MS;
}
