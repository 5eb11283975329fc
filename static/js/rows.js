import { sameDay } from './dates.js';

const GROUP_MS = 5 * 60_000;
const NAMES = 3;

/**
 * The rows of a list for its entries: day separators between days, and for each message whether it
 * begins a group of one author.
 * @param {import('./timeline.js').Entry[]} entries
 * @returns {{key: string, kind: string, entry: object, first: boolean}[]}
 */
export function rowsOf(entries) {
  const rows = [];
  let previous = null;
  for (const entry of entries) {
    const newDay = !previous || !sameDay(previous.timestamp, entry.timestamp);
    if (newDay) rows.push({ key: `day-${entry.key}`, kind: 'day', entry, first: true });
    rows.push({ key: entry.key, kind: entry.kind, entry, first: newDay || !follows(entry, previous) });
    previous = entry;
  }
  return rows;
}

function follows(entry, previous) {
  return entry.kind === 'message' && previous.kind === 'message'
    && String(entry.userId) === String(previous.userId)
    && entry.username === previous.username
    && Boolean(entry.isFromBot) === Boolean(previous.isFromBot)
    && entry.timestamp - previous.timestamp < GROUP_MS;
}

/**
 * One line for joins and leaves in a row: "Ada joined · Bob and Cy left". Who came and went, or
 * went and came back, is told once.
 * @param {{what: string, userId: string, username: string}[]} people
 */
export function noticeText(people) {
  const changes = new Map();
  for (const { what, userId, username } of people) {
    const key = JSON.stringify([userId, username]);
    const before = changes.get(key);
    changes.set(key, { username, first: before?.first ?? what, last: what });
  }
  const sentences = [
    sentence(changes, 'joined', 'joined', 'joined'),
    sentence(changes, 'left', 'left', 'left'),
    sentence(changes, 'joined', 'left', 'came and went'),
    sentence(changes, 'left', 'joined', 'came back'),
  ];
  return sentences.filter(Boolean).join(' · ');
}

function sentence(changes, first, last, verb) {
  const names = [...changes.values()]
    .filter((change) => change.first === first && change.last === last)
    .map((change) => isolate(change.username));
  return names.length ? `${listed(names)} ${verb}` : '';
}

/** @param {string[]} names @returns {string} "Ada, Bob, Cy and 4 others" */
export function listed(names) {
  if (names.length === 1) return names[0];
  const shown = names.slice(0, names.length > NAMES + 1 ? NAMES : names.length - 1);
  const rest = names.length - shown.length;
  return `${shown.join(', ')} and ${rest === 1 ? names.at(-1) : `${rest} others`}`;
}

/** What `<bdi>` does, for names inside one sentence. @param {string} name */
export function isolate(name) {
  return `\u2068${name}\u2069`;
}
