import { toast } from './announcer.js';
import { confirm } from './confirm.js';
import { askTerm } from './term.js';

/** The actions of owners and moderators against members; severe ones ask for confirmation. */
export class Moderation {
  #info;

  /** @param {import('./room-info.js').RoomInfo} info */
  constructor(info) {
    this.#info = info;
  }

  /** The actions against a member, for a menu. @param {{userId: string, username: string}} member */
  actsOn(member) {
    const { moderator, muted } = this.#info.standing(member.userId);
    const acts = [];
    if (this.#info.owns) {
      acts.push(moderator
        ? { icon: 'shield', label: 'Take moderator role away', run: () => this.#setModerator(member, false) }
        : { icon: 'shield', label: 'Make moderator', run: () => this.#setModerator(member, true) });
    }
    acts.push(muted
      ? { icon: 'mute', label: 'Unmute', run: () => this.lift('mutes', member) }
      : { icon: 'mute', label: 'Mute…', run: () => this.#mute(member) });
    acts.push({ icon: 'leave', label: 'Remove from the room…', run: () => this.#kick(member) });
    acts.push({ icon: 'ban', label: 'Ban…', danger: true, run: () => this.#ban(member) });
    return acts;
  }

  /** @param {'bans' | 'mutes'} kind @param {{userId: string, username: string}} member */
  lift(kind, { userId, username }) {
    const done = kind === 'bans' ? `${username} may come back` : `${username} may write again`;
    return this.#act(() => this.#info.rules.lift(kind, userId), done);
  }

  #setModerator({ userId, username }, moderates) {
    const done = moderates ? `${username} is a moderator now` : `${username} is no moderator any more`;
    return this.#act(() => this.#info.rules.setModerator(userId, moderates), done);
  }

  async #kick({ userId, username }) {
    const text = this.#info.settings.private ? 'They need a new invite to come back.' : 'They may come back whenever they like.';
    if (!await confirm({ title: `Remove ${username} from this room?`, text, yes: 'Remove' })) return;
    await this.#act(() => this.#info.rules.kick(userId), `${username} was removed`);
  }

  async #mute({ userId, username }) {
    const term = await askTerm({ title: `Mute ${username}?`, text: 'They can read, but not write.', yes: 'Mute' });
    if (term) await this.#act(() => this.#info.rules.restrict('mutes', userId, term.seconds), `${username} is muted`);
  }

  async #ban({ userId, username }) {
    const text = 'They are removed from the room and cannot come back until the ban is over.';
    const term = await askTerm({ title: `Ban ${username}?`, text, yes: 'Ban' });
    if (term) await this.#act(() => this.#info.rules.restrict('bans', userId, term.seconds), `${username} is banned`);
  }

  async #act(act, done) {
    try {
      await act();
      toast(done);
    } catch (error) {
      toast(error.status === 403 ? 'You may not do that to this person.' : error.message);
    }
    await this.#info.refresh();
  }
}
