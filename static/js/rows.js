import { sameDay } from './dates.js';

const GROUP_MS = 5 * 60_000;
const CHANGES = [
  ['joined', 'joined', 'joined'],
  ['left', 'left', 'left'],
  ['joined', 'left', 'came and went'],
  ['left', 'joined', 'came back'],
];

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
    && Boolean(entry.guest) === Boolean(previous.guest)
    && entry.timestamp - previous.timestamp < GROUP_MS;
}

/**
 * What joins and leaves in a row come to: who came and went, or went and came back, is told once.
 * @param {{what: 'joined' | 'left', userId: string, username: string}[]} people
 * @returns {{names: string[], verb: string}[]}
 */
export function summary(people) {
  const changes = new Map();
  for (const { what, userId, username } of people) {
    const key = JSON.stringify([userId, username]);
    const before = changes.get(key);
    changes.set(key, { username, first: before?.first ?? what, last: what });
  }
  const all = [...changes.values()];
  return CHANGES.map(([first, last, verb]) => ({
    verb,
    names: all.filter((one) => one.first === first && one.last === last).map((one) => one.username),
  })).filter(({ names }) => names.length);
}
