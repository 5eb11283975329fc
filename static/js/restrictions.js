import { byId, element } from './dom.js';
import { nameOf } from './people.js';
import { untilWords } from './spans.js';

const WORDS = { bans: ['Banned', 'Lift ban'], mutes: ['Muted', 'Unmute'] };

/** The banned and muted users, with a way to lift that. */
export class RestrictionList {
  #info;
  #moderation;

  /** @param {import('./room-info.js').RoomInfo} info @param {import('./moderation.js').Moderation} moderation */
  constructor(info, moderation) {
    this.#info = info;
    this.#moderation = moderation;
  }

  async show() {
    const kinds = Object.keys(WORDS);
    const lists = await Promise.all(kinds.map((kind) => this.#info.rules.restricted(kind)));
    const rows = lists.flatMap((list, index) => list.map((one) => this.#row(kinds[index], one)));
    byId('restriction-list').replaceChildren(...rows);
    byId('restriction-none').hidden = rows.length > 0;
  }

  #row(kind, { userId, until }) {
    const [state, lift] = WORDS[kind];
    const username = nameOf(userId);
    const button = element('button', { type: 'button', class: 'button small', 'aria-label': `${lift}: ${username}` }, lift);
    button.addEventListener('click', async () => {
      button.disabled = true;
      await this.#moderation.lift(kind, { userId, username });
      await this.show();
      byId('room-tabs').querySelector('[aria-selected="true"]').focus();
    });
    return element(
      'li', {},
      element(
        'div', { class: 'fact' },
        element('p', {}, element('bdi', {}, username)),
        element('p', { class: 'hint' }, `${state} ${untilWords(until)}`),
      ),
      button,
    );
  }
}
