/**
 * @typedef {import('./timeline.js').Entry} Entry
 * @typedef {import('./timeline.js').Message} Message
 * @typedef {import('./members.js').Member} Member
 * @typedef {{title: string | null, private: boolean, slowMode: number, role: string}} RoomSettings
 *   `slowMode`: seconds between two messages of one person; `role` is the user's
 *
 * @typedef {object} RoomState
 * @property {import('../connection.js').LineState['state']} state
 * @property {string} [reason] of `waiting`, `polling` and `closed`
 * @property {number} [retryAt] of `waiting`: milliseconds since 1970
 * @property {boolean} unreachable the last message could not be sent for want of a connection, though the stream may seem open
 * @property {readonly Entry[]} entries oldest first: messages, comings and goings, gaps
 * @property {readonly Message[]} messages oldest first; of the entries, those behind the last gap
 * @property {readonly Member[]} members
 * @property {number} onlineCount
 * @property {readonly string[]} typingUsers names of the others who type
 * @property {boolean} hasOlder whether `loadOlder` may find more
 * @property {Member | null} user who this is, once known
 * @property {RoomSettings | null} room its rules, once known
 * @property {boolean} moderates whether the user may delete what others wrote
 * @property {number} pausedUntil slow mode takes no message of the user before; milliseconds since 1970
 * @property {boolean} muted whether the user may read, but not write
 * @property {boolean} degraded the server is without its database or bus
 * @property {string} [degradedReason]
 * @property {string | null} error why it is closed, for a person
 */

/** @type {RoomState} */
export const BEGINNING = {
  state: 'connecting', reason: undefined, retryAt: undefined, unreachable: false, entries: [], messages: [], members: [],
  onlineCount: 0, typingUsers: [], hasOlder: false, user: null, room: null, moderates: false, pausedUntil: 0, muted: false,
  degraded: false, degradedReason: undefined, error: null,
};
