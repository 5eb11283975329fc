import { formatBrief, formatFull } from './dates.js';
import { byId, element } from './dom.js';
import { nameOf } from './people.js';
import { inWords, untilWords } from './spans.js';

const SENTENCES = {
  created: () => [' made the room'],
  changed: (act) => [` changed the room: ${changes(act)}`],
  invited: () => [' made an invite link'],
  'invite-revoked': () => [' revoked an invite link'],
  joined: () => [' joined by an invite'],
  left: () => [' gave up membership'],
  'moderator-added': (act) => [' made ', whom(act), ' a moderator'],
  'moderator-removed': (act) => [' took the moderator role from ', whom(act)],
  kicked: (act) => [' removed ', whom(act)],
  banned: (act) => [' banned ', whom(act), ` ${untilWords(act.until)}`],
  unbanned: (act) => [' lifted the ban of ', whom(act)],
  muted: (act) => [' muted ', whom(act), ` ${untilWords(act.until)}`],
  unmuted: (act) => [' unmuted ', whom(act)],
  'message-deleted': (act) => [' deleted a message of ', whom(act)],
  'message-edited': (act) => [' edited a message of ', whom(act)],
};

/** What was done in a room, newest first, as sentences. */
export class AuditList {
  #info;
  #oldest = '';

  /** @param {import('./room-info.js').RoomInfo} info */
  constructor(info) {
    this.#info = info;
    byId('audit-more').onclick = () => this.#load();
  }

  async show() {
    this.#oldest = '';
    byId('audit-list').replaceChildren();
    byId('audit-more').hidden = true;
    await this.#load();
  }

  async #load() {
    const { entries, hasMore } = await this.#info.rules.audit({ before: this.#oldest });
    byId('audit-list').append(...entries.map(row));
    byId('audit-more').hidden = !hasMore;
    this.#oldest = entries.at(-1)?.id ?? '';
  }
}

function row(act) {
  const words = SENTENCES[act.action]?.(act) ?? [` did: ${act.action}`];
  return element(
    'li', {},
    element('p', {}, person(act.actorId), ...words),
    element('time', {
      class: 'hint', datetime: new Date(act.timestamp).toISOString(), title: formatFull(act.timestamp),
    }, formatBrief(act.timestamp)),
  );
}

function whom({ userId }) {
  return person(userId);
}

function person(userId) {
  return element('bdi', { class: 'audit-name', title: userId }, nameOf(userId));
}

function changes({ private: isPrivate, title, slowMode }) {
  const said = [];
  if (isPrivate !== undefined) said.push(isPrivate ? 'now private' : 'now public');
  if (title !== undefined) said.push(title ? `title “${title}”` : 'no title');
  if (slowMode !== undefined) said.push(slowMode ? `slow mode ${inWords(slowMode)}` : 'slow mode off');
  return said.join(', ');
}
