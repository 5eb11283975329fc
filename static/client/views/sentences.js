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
  'name-taken': 'This name belongs to somebody: choose another.',
  'guests-off': 'Guests are not let in here: sign in first.',
}));

/** Why something closed, for a person. @param {string} [reason] */
export function sentence(reason = '') {
  return SENTENCES.get(reason) ?? `The connection is closed${reason ? ` (${reason})` : ''}.`;
}
