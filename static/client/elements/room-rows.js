import { sameDay } from './dates.js';

/** @typedef {import('../views/timeline.js').Entry} Entry */

/**
 * A row of a room's list; `first`: it starts a group by one author; `moderates`: the user may delete
 * it, whoever wrote it; `asked`: the user may stop this reply and ask for another one.
 * @typedef {{key: string, kind: Entry['kind'] | 'day', entry: Entry, first: boolean, moderates: boolean, asked: boolean}} Row
 */

const GROUP_MS = 5 * 60_000;
const CHANGES = [
  ['joined', 'joined', 'joined'],
  ['left', 'left', 'left'],
  ['joined', 'left', 'came and went'],
  ['left', 'joined', 'came back'],
];

/**
 * The rows of a list: day separators between days, and for each message whether it starts a group.
 * @param {import('../views/room.js').RoomState} state
 * @returns {Row[]}
 */
export function rowsOf({ entries, moderates, user }) {
  /** @type {Row[]} */
  const rows = [];
  /** @type {Entry | null} */
  let previous = null;
  for (const entry of entries) {
    const { key, kind } = entry;
    const newDay = !previous || !sameDay(previous.timestamp, entry.timestamp);
    const mine = 'askedBy' in entry && entry.askedBy !== undefined && entry.askedBy === String(user?.userId);
    const rights = { moderates, asked: moderates || mine };
    if (newDay) rows.push({ key: `day-${key}`, kind: 'day', entry, first: true, ...rights });
    rows.push({ key, kind, entry, first: newDay || !follows(entry, previous), ...rights });
    previous = entry;
  }
  return rows;
}

/** @param {Row} row @param {Row} other */
export function sameRow(row, other) {
  return row.entry === other.entry && row.first === other.first && row.moderates === other.moderates && row.asked === other.asked;
}

/** @param {Entry} entry @param {Entry | null} previous */
function follows(entry, previous) {
  return entry.kind === 'message' && previous?.kind === 'message'
    && String(entry.userId) === String(previous.userId)
    && entry.username === previous.username
    && Boolean(entry.isFromBot) === Boolean(previous.isFromBot)
    && Boolean(entry.guest) === Boolean(previous.guest)
    && entry.timestamp - previous.timestamp < GROUP_MS;
}

/**
 * Sums up consecutive joins and leaves: somebody who came and went, or left and returned, is named once.
 * @param {readonly import('../views/timeline.js').Coming[]} people
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
