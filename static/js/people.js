import { recall, remember } from '../client/storage.js';
import { tab } from './memory.js';

const KEY = 'people';
const MOST = 500;
const SHOWN_OF_ID = 6;
const seen = new WeakSet();
const names = new Map(recall(tab, KEY) ?? []);

/** Remembers a user's name. @param {{userId: string, username: string}} person */
export function meet({ userId, username }) {
  const id = String(userId);
  if (!username || names.get(id) === username) return;
  names.delete(id);
  names.set(id, username);
  if (names.size > MOST) names.delete(names.keys().next().value);
  remember(tab, KEY, [...names]);
}

/** Remembers the names of messages' authors, once each. @param {readonly {userId: string, username: string}[]} messages */
export function meetAuthors(messages) {
  for (const message of messages) {
    if (!seen.has(message)) meet(message);
    seen.add(message);
  }
}

/** A user's name when the page last saw them. @param {string} userId */
export function nameOf(userId) {
  return names.get(String(userId)) ?? `someone (${String(userId).slice(-SHOWN_OF_ID)})`;
}
