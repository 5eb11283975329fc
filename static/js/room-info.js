import { RoomRules } from './room-rules.js';

const REFRESH_MS = 20_000;
const AUDITED = 200;
const TRUSTED = ['service', 'admin'];
const UNKNOWN = { private: false, title: null, slowMode: 0, role: 'none' };

/**
 * What is known of a room's rules and the people they name. No event reports changes, so it is
 * fetched again after every action and from time to time. Fires `change`.
 */
export class RoomInfo extends EventTarget {
  #view;
  #user;
  #settings = UNKNOWN;
  #learning = Promise.resolve();
  #moderators = new Set();
  #owner = null;
  #muted = new Set();

  /**
   * @param {{api: import('./api.js').Api, view: import('../client/views/room.js').RoomView,
   *   user: {userId: string, role: string}, roomId: string, signal: AbortSignal}} options
   */
  constructor({ api, view, user, roomId, signal }) {
    super();
    this.#view = view;
    this.#user = user;
    this.roomId = roomId;
    this.rules = new RoomRules(api, roomId);
    const timer = setInterval(() => document.hidden || this.refresh(), REFRESH_MS);
    signal.addEventListener('abort', () => clearInterval(timer));
    signal.addEventListener('abort', view.subscribe(() => this.#onState(view.get())));
  }

  get settings() {
    return this.#settings;
  }

  get name() {
    return this.#settings.title || this.roomId;
  }

  get owns() {
    return this.#settings.role === 'owner' || TRUSTED.includes(this.#user.role);
  }

  get moderates() {
    return this.#view.get().moderates;
  }

  /** A user's standing here as far as known; only moderators learn it. @param {string} userId */
  standing(userId) {
    const id = String(userId);
    return { owner: id === this.#owner, moderator: this.#moderators.has(id), muted: this.#muted.has(id) };
  }

  /** Whether this user may act against that one. @param {string} userId */
  mayActOn(userId) {
    const { owner, moderator } = this.standing(userId);
    return this.moderates && String(userId) !== String(this.#user.userId) && !owner && (!moderator || this.owns);
  }

  async refresh() {
    await this.#view.refresh();
    await this.#learning;
  }

  #onState({ room }) {
    if (!room || room === this.#settings) return;
    this.#settings = room;
    this.#learning = this.#learn();
  }

  async #learn() {
    if (this.moderates) await this.#learnStandings().catch(() => {});
    this.dispatchEvent(new Event('change'));
  }

  async #learnStandings() {
    const [mutes, audit] = await Promise.all([this.rules.restricted('mutes'), this.rules.audit({ limit: AUDITED })]);
    this.#muted = new Set(mutes.map(({ userId }) => String(userId)));
    for (const { action, actorId, userId } of audit.entries.toReversed()) {
      if (action === 'created') this.#owner = String(actorId);
      else if (action === 'moderator-added') this.#moderators.add(String(userId));
      else if (LOSES_RANK.has(action)) this.#moderators.delete(String(userId));
    }
  }
}

const LOSES_RANK = new Set(['moderator-removed', 'kicked', 'banned', 'left']);
