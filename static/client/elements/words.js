/** Words that several elements use, for a person. */

/** @param {string} state of a connection @param {number} [attempts] */
export function stateWord(state, attempts = 0) {
  if (state === 'open' || state === 'polling') return 'Connected';
  if (state === 'closed') return 'Disconnected';
  return state === 'waiting' || attempts ? 'Reconnecting…' : 'Connecting…';
}

/** @param {HTMLTimeElement} node @param {number | string} at milliseconds since 1970, or ISO 8601 */
export function showTime(node, at) {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return;
  node.dateTime = date.toISOString();
  node.title = date.toLocaleString();
  const today = date.toDateString() === new Date().toDateString();
  const day = today ? '' : `${date.toLocaleDateString([], { day: 'numeric', month: 'short' })}, `;
  node.textContent = day + date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
}
