import { avatar } from './avatar.js';
import { byId, element, showText } from './dom.js';
import { oncePerFrame } from './frames.js';

const MOST_SHOWN = 200;
const collator = new Intl.Collator(undefined, { sensitivity: 'base' });

/** Who is in the room. A member is one (userId, username). */
export class Members {
  #self;
  #members = new Map();
  #count = 0;
  #update = oncePerFrame(() => this.#draw());

  /** @param {{userId: string, username: string}} self */
  constructor(self) {
    this.#self = self;
    this.#update();
  }

  /** The whole state, or only the count. @param {{members?: object[], onlineCount: number}} state */
  set({ members, onlineCount }) {
    if (members) this.#members = new Map(members.map((member) => [keyOf(member), member]));
    this.#count = onlineCount;
    this.#update();
  }

  join(member) {
    this.#members.set(keyOf(member), member);
    this.#counted(member);
  }

  leave(member) {
    this.#members.delete(keyOf(member));
    this.#counted(member);
  }

  #counted({ onlineCount }) {
    this.#count = onlineCount ?? this.#members.size;
    this.#update();
  }

  #draw() {
    const shown = this.#sorted().slice(0, MOST_SHOWN);
    byId('member-list').replaceChildren(...shown.map((member) => this.#row(member)));
    const hidden = this.#count - shown.length;
    showText(byId('members-more'), hidden > 0 ? `and ${hidden.toLocaleString()} more` : '');
    byId('members-count').textContent = this.#count.toLocaleString();
    byId('head-count').textContent = this.#count.toLocaleString();
    byId('open-sidebar').setAttribute('aria-label', `Rooms and people, ${this.#count} online`);
  }

  #sorted() {
    const self = keyOf(this.#self);
    return [...this.#members.values()].sort((a, b) => (
      (keyOf(b) === self) - (keyOf(a) === self) || collator.compare(a.username, b.username)
    ));
  }

  #row(member) {
    const you = keyOf(member) === keyOf(this.#self) ? element('span', { class: 'hint' }, 'you') : null;
    const name = element('bdi', { class: 'member-name' }, member.username);
    return element('li', {}, avatar(member.userId, member.username), name, you);
  }
}

function keyOf({ userId, username }) {
  return JSON.stringify([String(userId), username]);
}
