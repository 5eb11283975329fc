import { copy } from './clipboard.js';
import { formatBrief } from './dates.js';
import { byId, element } from './dom.js';
import { submitting } from './modal.js';
import { nameOf } from './people.js';

/** The address that admits its reader to a room. @param {string} code */
export function inviteUrl(code) {
  return `${location.origin}/?invite=${encodeURIComponent(code)}`;
}

/** @returns {string} the invite in this page's address, or '' */
export function inviteInUrl() {
  return new URLSearchParams(location.search).get('invite')?.trim() ?? '';
}

/** A room's invite links: creates, copies and revokes them. */
export class InviteList {
  #info;

  /** @param {import('./room-info.js').RoomInfo} info */
  constructor(info) {
    this.#info = info;
    byId('invite-form').onsubmit = (event) => this.#make(event);
    byId('invite-copy').onclick = () => copy(byId('invite-link').value, 'Invite link copied');
    byId('invite-link').onfocus = () => byId('invite-link').select();
  }

  async show() {
    byId('invite-made').hidden = true;
    await this.#draw();
  }

  async #make(event) {
    event.preventDefault();
    const { expires, uses } = event.target.elements;
    await submitting(event.target, async () => {
      const terms = { expiresIn: Number(expires.value), ...(uses.value ? { uses: Number(uses.value) } : {}) };
      const { invite } = await this.#info.rules.invite(terms);
      byId('invite-link').value = inviteUrl(invite);
      byId('invite-made').hidden = false;
      await this.#draw();
    });
    if (!byId('invite-made').hidden) byId('invite-copy').focus();
  }

  async #draw() {
    const invites = await this.#info.rules.invites();
    byId('invite-list').replaceChildren(...invites.map((invite) => this.#row(invite)));
    byId('invite-none').hidden = invites.length > 0;
  }

  #row({ inviteId, createdBy, expiresAt, uses }) {
    const left = uses === null ? 'any number of uses' : `${uses} ${uses === 1 ? 'use' : 'uses'} left`;
    const button = element('button', { type: 'button', class: 'button small' }, 'Revoke');
    button.addEventListener('click', () => this.#revoke(inviteId, button));
    return element(
      'li', {},
      element(
        'div', { class: 'fact' },
        element('p', {}, 'Link by ', element('bdi', {}, nameOf(createdBy))),
        element('p', { class: 'hint' }, `${left} · until ${formatBrief(expiresAt)}`),
      ),
      button,
    );
  }

  async #revoke(inviteId, button) {
    button.disabled = true;
    await this.#info.rules.revokeInvite(inviteId).catch(() => {});
    await this.show();
    byId('invite-form').querySelector('[type="submit"]').focus();
  }
}
