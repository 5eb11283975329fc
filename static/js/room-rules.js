import { roomPath } from './api.js';

/** The calls about a room's rules and people. */
export class RoomRules {
  #api;
  #path;

  /** @param {import('./api.js').Api} api @param {string} roomId */
  constructor(api, roomId) {
    this.#api = api;
    this.#path = roomPath(roomId);
  }

  /** Creates the room, or changes it. @param {{private?: boolean, title?: string | null, slowMode?: number}} settings */
  change(settings) {
    return this.#api.json('PUT', this.#path, { body: settings });
  }

  async invites() {
    return (await this.#api.json('GET', `${this.#path}/invites`)).invites;
  }

  /** @param {{expiresIn: number, uses?: number}} terms @returns {Promise<{invite: string}>} */
  invite(terms) {
    return this.#api.json('POST', `${this.#path}/invites`, { body: terms });
  }

  revokeInvite(inviteId) {
    return this.#api.call('DELETE', `${this.#path}/invites/${encodeURIComponent(inviteId)}`);
  }

  kick(userId) {
    return this.#api.call('POST', `${this.#path}/kick`, { body: { userId } });
  }

  /** @param {'bans' | 'mutes'} kind @param {string} userId @param {number | null} seconds null: forever */
  restrict(kind, userId, seconds) {
    return this.#api.call('PUT', this.#of(kind, userId), { body: seconds ? { seconds } : {} });
  }

  lift(kind, userId) {
    return this.#api.call('DELETE', this.#of(kind, userId));
  }

  /** @param {'bans' | 'mutes'} kind @returns {Promise<{userId: string, until: number | null}[]>} */
  async restricted(kind) {
    const all = [];
    let page;
    do {
      const after = all.length ? `?${new URLSearchParams({ after: all.at(-1).userId })}` : '';
      page = await this.#api.json('GET', `${this.#path}/${kind}${after}`);
      all.push(...page[kind]);
    } while (page.hasMore);
    return all;
  }

  setModerator(userId, moderates) {
    return this.#api.call(moderates ? 'PUT' : 'DELETE', this.#of('moderators', userId));
  }

  giveUpMembership() {
    return this.#api.call('DELETE', `${this.#path}/membership`);
  }

  /** @param {{before?: string, limit?: number}} page @returns {Promise<{entries: object[], hasMore: boolean}>} */
  audit({ before, limit = 50 } = {}) {
    const query = new URLSearchParams({ limit });
    if (before) query.set('before', before);
    return this.#api.json('GET', `${this.#path}/audit?${query}`);
  }

  #of(kind, userId) {
    return `${this.#path}/${kind}/${encodeURIComponent(userId)}`;
  }
}
