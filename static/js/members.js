import { oncePerFrame } from '../client/elements/frames.js';
import { avatar, guestMark } from '../client/elements/people.js';
import { byId, element, iconButton, place, putText } from './dom.js';
import { openMenu } from './menu.js';
import { meet } from './people.js';

const MOST_SHOWN = 200;
const collator = new Intl.Collator(undefined, { sensitivity: 'base' });

/** Who is in the room. A member is one (userId, username). */
export class Members {
  #self;
  #info;
  #moderation;
  #members = [];
  #rows = new Map();
  #count = 0;
  #update = oncePerFrame(() => this.#draw());

  /**
   * @param {{self: {userId: string, username: string}, info: import('./room-info.js').RoomInfo,
   *   moderation: import('./moderation.js').Moderation, signal: AbortSignal}} options
   */
  constructor({ self, info, moderation, signal }) {
    this.#self = self;
    this.#info = info;
    this.#moderation = moderation;
    info.addEventListener('change', this.#update, { signal });
    byId('member-list').replaceChildren();
    this.#update();
  }

  /** @param {{members: readonly object[], onlineCount: number}} state */
  set({ members, onlineCount }) {
    this.#members = members;
    this.#count = onlineCount;
    members.forEach(meet);
    this.#update();
  }

  #draw() {
    const shown = this.#sorted().slice(0, MOST_SHOWN);
    const rows = new Map(shown.map((member) => [this.#look(member), member]));
    for (const look of [...this.#rows.keys()]) if (!rows.has(look)) this.#rows.delete(look);
    for (const [look, member] of rows) if (!this.#rows.has(look)) this.#rows.set(look, this.#row(member));
    place(byId('member-list'), [...rows.keys()].map((look) => this.#rows.get(look)));
    const hidden = this.#count - shown.length;
    putText(byId('members-more'), hidden > 0 ? `and ${hidden.toLocaleString()} more` : '');
    byId('members-count').textContent = this.#count.toLocaleString();
    byId('head-count').textContent = this.#count.toLocaleString();
    byId('open-sidebar').setAttribute('aria-label', `Rooms and people, ${this.#count} online`);
  }

  #sorted() {
    const self = keyOf(this.#self);
    return [...this.#members].sort((a, b) => (
      (keyOf(b) === self) - (keyOf(a) === self) || collator.compare(a.username, b.username)
    ));
  }

  /** Rows that look the same are the same row. */
  #look(member) {
    const { userId, guest } = member;
    return JSON.stringify([keyOf(member), Boolean(guest), this.#info.standing(userId), this.#info.mayActOn(userId)]);
  }

  #row(member) {
    const { userId, username, guest } = member;
    const { owner, moderator, muted } = this.#info.standing(userId);
    const you = keyOf(member) === keyOf(this.#self);
    const words = [you && 'you', owner && !you && 'owner', moderator && 'moderator', muted && 'muted'].filter(Boolean);
    return element(
      'li', {}, avatar(userId, username), element('bdi', { class: 'member-name', title: username }, username),
      guest ? guestMark() : null,
      words.length ? element('span', { class: 'hint' }, words.join(' · ')) : null,
      this.#info.mayActOn(userId) ? this.#tool(member) : null,
    );
  }

  #tool(member) {
    const label = `Actions for ${member.username}`;
    const button = iconButton('more', label, () => openMenu(button, label, this.#moderation.actsOn(member)));
    button.setAttribute('aria-haspopup', 'menu');
    button.setAttribute('aria-expanded', 'false');
    return button;
  }
}

function keyOf({ userId, username }) {
  return JSON.stringify([String(userId), username]);
}
