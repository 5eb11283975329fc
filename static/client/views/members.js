/**
 * Somebody in a room: one (userId, username).
 * @typedef {{userId: string, username: string, guest?: boolean}} Member `guest`: came in without a password
 */

/** @param {readonly Member[]} members @param {Member} who @returns {Member[]} */
export function joined(members, who) {
  const { userId, username, guest } = who;
  return [...left(members, who), { userId, username, ...(guest && { guest }) }];
}

/** @param {readonly Member[]} members @param {Member} who @returns {Member[]} */
export function left(members, who) {
  return members.filter(({ userId, username }) => userId !== who.userId || username !== who.username);
}
