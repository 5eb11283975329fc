const time = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });
const dayAndTime = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', hour: 'numeric', minute: '2-digit' });
const day = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const dayAndYear = new Intl.DateTimeFormat(undefined, { dateStyle: 'long' });

/** @param {number} timestamp milliseconds since 1970 @returns {string} as 14:05 */
export function formatTime(timestamp) {
  return time.format(timestamp);
}

/** @param {number} timestamp @returns {string} date and time in full */
export function formatFull(timestamp) {
  return full.format(timestamp);
}

/** @param {number} timestamp @returns {string} the time, with the day when that is not today */
export function formatBrief(timestamp) {
  return (sameDay(timestamp, Date.now()) ? time : dayAndTime).format(timestamp);
}

/** @param {number} timestamp @returns {string} Today, Yesterday or a date */
export function formatDay(timestamp) {
  const now = new Date();
  const then = new Date(timestamp);
  if (then.toDateString() === now.toDateString()) return 'Today';
  now.setDate(now.getDate() - 1);
  if (then.toDateString() === now.toDateString()) return 'Yesterday';
  return then.getFullYear() === new Date().getFullYear() ? day.format(then) : dayAndYear.format(then);
}

/** @param {number} a @param {number} b @returns {boolean} same local day */
export function sameDay(a, b) {
  return new Date(a).toDateString() === new Date(b).toDateString();
}

/** @param {HTMLTimeElement} node @param {number | string} at milliseconds since 1970, or ISO 8601 */
export function showTime(node, at) {
  const date = new Date(at);
  const timestamp = date.getTime();
  if (Number.isNaN(timestamp)) return;
  node.dateTime = date.toISOString();
  node.title = formatFull(timestamp);
  node.textContent = formatBrief(timestamp);
}
