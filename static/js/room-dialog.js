import { toast } from './announcer.js';
import { AuditList } from './audit.js';
import { confirm } from './confirm.js';
import { byId, element, putText } from './dom.js';
import { RoomExport } from './export.js';
import { InviteList } from './invites.js';
import { installModal, submitting } from './modal.js';
import { RestrictionList } from './restrictions.js';
import { inWords } from './spans.js';
import { Tabs } from './tabs.js';

const ALL_TABS = ['about', 'invites', 'people', 'audit'];
const ROLES = {
  owner: 'You own this room.', moderator: 'You are a moderator here.', member: 'You are a member.', none: '',
};

installModal(byId('room-dialog'));

/** The dialog about the current room: its rules, invites, restrictions and log. */
export class RoomDialog {
  #info;
  #onLeft;
  #tabs;
  #lists;
  #touched = false;

  /**
   * @param {{api: import('./api.js').Api, info: import('./room-info.js').RoomInfo,
   *   moderation: import('./moderation.js').Moderation, onLeft: () => void, signal: AbortSignal}} options `onLeft`: the user is no longer a member
   */
  constructor({ api, info, moderation, onLeft, signal }) {
    this.#info = info;
    this.#onLeft = onLeft;
    this.#lists = {
      invites: new InviteList(info), people: new RestrictionList(info, moderation), audit: new AuditList(info),
    };
    new RoomExport({ api, roomId: info.roomId, signal });
    this.#tabs = new Tabs(byId('room-tabs'), (name) => this.#load(name), signal);
    byId('open-room').addEventListener('click', () => this.open(), { signal });
    byId('room-settings').addEventListener('submit', (event) => this.#save(event), { signal });
    byId('room-settings').addEventListener('input', () => { this.#touched = true; }, { signal });
    byId('give-up').addEventListener('click', () => this.#giveUp(), { signal });
    signal.addEventListener('abort', () => byId('room-dialog').close());
  }

  async open() {
    this.#touched = false;
    this.#draw();
    this.#tabs.show('about');
    byId('room-dialog').showModal();
    await this.#info.refresh();
    this.#draw();
  }

  #draw() {
    const { settings, owns, moderates, name } = this.#info;
    byId('room-dialog-title').textContent = name;
    this.#tabs.offer(moderates ? ALL_TABS : ['about']);
    byId('room-tabs').hidden = !moderates;
    byId('room-settings').hidden = !owns;
    byId('room-facts').hidden = owns;
    putText(byId('room-role'), ROLES[settings.role] ?? '');
    byId('give-up').hidden = !['member', 'moderator'].includes(settings.role);
    if (owns && !this.#touched) fillSettings(byId('room-settings').elements, settings);
    if (!owns) byId('room-facts').replaceChildren(...facts(this.#info.roomId, settings));
  }

  async #load(name) {
    putText(byId('room-problem'), '');
    try {
      await this.#lists[name]?.show();
    } catch (error) {
      putText(byId('room-problem'), error.message);
    }
  }

  async #save(event) {
    event.preventDefault();
    const { title, access, slow } = event.target.elements;
    await submitting(event.target, async () => {
      await this.#info.rules.change({
        title: title.value.trim() || null, private: access.value === 'private', slowMode: Number(slow.value),
      });
      byId('room-dialog').close();
      await this.#info.refresh();
      toast('Room changed');
    });
  }

  async #giveUp() {
    const { settings, name, rules } = this.#info;
    const text = settings.private ? 'You need a new invite to come back.' : 'You may still read and write: the room is public.';
    if (!await confirm({ title: `Give up membership of ${name}?`, text, yes: 'Give up' })) return;
    try {
      await rules.giveUpMembership();
      byId('room-dialog').close();
      this.#onLeft();
    } catch (error) {
      putText(byId('room-problem'), error.message);
    }
  }
}

/** Fills a form with `title`, `access` and `slow`. */
function fillSettings({ title, access, slow }, settings) {
  title.value = settings.title ?? '';
  access.value = settings.private ? 'private' : 'public';
  const seconds = String(settings.slowMode);
  if (![...slow.options].some(({ value }) => value === seconds)) {
    slow.append(element('option', { value: seconds }, inWords(settings.slowMode)));
  }
  slow.value = seconds;
}

function facts(roomId, settings) {
  const slow = settings.slowMode ? `One message in ${inWords(settings.slowMode)}` : 'Off';
  const access = settings.private ? 'Private: members only' : 'Public: anyone can read and write';
  return [['Name', roomId], ['Access', access], ['Slow mode', slow]].flatMap(([term, text]) => [
    element('dt', {}, term), element('dd', {}, element('bdi', {}, text)),
  ]);
}
