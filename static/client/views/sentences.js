const SENTENCES = new Map(Object.entries({
  'signed-out': 'You are not signed in.',
  'token-missing': 'You are not signed in.',
  'token-invalid': 'You are not signed in.',
  'token-revoked': 'You are not signed in.',
  'max-reconnects': 'The server could not be reached.',
  forbidden: 'You may not read this.',
  banned: 'You are banned here.',
  kicked: 'You were removed.',
  'not-found': 'This does not exist.',
  replaced: 'It was opened elsewhere.',
  'username-mismatch': 'You are signed in under another name.',
  'name-taken': 'This name is taken. Choose another.',
  'guests-off': 'This server does not accept guests. Sign in first.',
}));

/** Sentences about a room. */
const ROOMS = new Map(Object.entries({
  replaced: 'You opened this room elsewhere, so it is paused here.',
  kicked: 'A moderator removed you from this room.',
  banned: 'You are banned from this room.',
  private: 'This room is for members only now.',
  left: 'You left this room.',
  forbidden: 'This room is private. Ask its owner or a moderator for an invite link.',
  'too-slow': 'Your connection could not keep up with this room.',
}));

/** Why a room closed, for a person. @param {string} [reason] */
export function roomSentence(reason = '') {
  return ROOMS.get(reason) ?? sentence(reason);
}

/** Why something closed, for a person. @param {string} [reason] */
export function sentence(reason = '') {
  return SENTENCES.get(reason) ?? `The connection is closed${reason ? ` (${reason})` : ''}.`;
}
