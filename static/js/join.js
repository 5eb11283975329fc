import { avatar } from './avatar.js';
import { byId, element, showText } from './dom.js';
import { recall, remember } from './storage.js';
import { onlineBadge, roomInUrl, roomProblem } from './rooms.js';

const DEFAULT_ROOM = 'lobby';
const LONGEST_NAME = 32;
const MOST_CHIPS = 8;
const NO_GUESTS = 'This server takes no guests. Sign in, or create an account.';

/** The first screen: who are you, and which room. */
export class JoinScreen {
  #session;
  #api;
  #onJoin;
  #mode = 'guest';

  /**
   * @param {{session: import('./session.js').Session, api: import('./api.js').Api,
   *   onJoin: (roomId: string) => void}} options
   */
  constructor({ session, api, onJoin }) {
    this.#session = session;
    this.#api = api;
    this.#onJoin = onJoin;
    byId('join-form').addEventListener('submit', (event) => this.#submit(event));
    byId('join-switch').addEventListener('click', () => this.#switchUser());
    for (const button of byId('join-modes').children) {
      button.addEventListener('click', () => this.#setMode(button.dataset.mode));
    }
  }

  /** @param {{notice?: string}} [options] why the person is here again */
  show({ notice = '' } = {}) {
    showText(byId('join-notice'), notice);
    showText(byId('join-error'), '');
    byId('join-room').value = roomInUrl() || recall(globalThis.sessionStorage, 'last-room') || DEFAULT_ROOM;
    byId('join-name').value = recall(globalThis.sessionStorage, 'name') ?? '';
    this.#setMode('guest');
    this.#suggestRooms();
  }

  #setMode(mode) {
    this.#mode = mode;
    const { user } = this.#session;
    byId('join-identity').hidden = !user;
    byId('join-credentials').hidden = Boolean(user);
    byId('join-modes').hidden = Boolean(user);
    for (const field of byId('join-credentials').children) {
      field.hidden = !field.dataset.modes.split(' ').includes(mode);
    }
    for (const button of byId('join-modes').children) button.hidden = button.dataset.mode === mode;
    byId('join-password').autocomplete = mode === 'signup' ? 'new-password' : 'current-password';
    showText(byId('join-error'), '');
    if (user) this.#showUser(user);
    else firstEmpty(this.#visibleInputs()).focus();
  }

  #showUser({ userId, username }) {
    byId('join-avatar').replaceChildren(avatar(userId, username));
    byId('join-username').textContent = username;
    byId('join-room').focus();
  }

  async #switchUser() {
    remember(globalThis.sessionStorage, 'name', null);
    byId('join-name').value = '';
    const done = this.#session.signOut();
    this.#setMode('guest');
    byId('join-rooms').hidden = true;
    await done;
  }

  async #submit(event) {
    event.preventDefault();
    const roomId = byId('join-room').value.trim().normalize('NFC');
    const problem = this.#problem() || roomProblem(roomId);
    showText(byId('join-error'), problem);
    if (problem) return;
    this.#busy(true);
    try {
      if (!this.#session.user) await this.#enter();
      await this.#api.rooms();
      remember(globalThis.sessionStorage, 'last-room', roomId);
      this.#onJoin(roomId);
    } catch (error) {
      this.#explain(error);
    } finally {
      this.#busy(false);
    }
  }

  async #enter() {
    const [name, account, email] = ['name', 'account', 'email'].map((id) => byId(`join-${id}`).value.trim());
    const password = byId('join-password').value;
    if (this.#mode === 'signin') await this.#session.signIn(account, password);
    else if (this.#mode === 'signup') await this.#session.signUp(name, email, password);
    else await this.#session.enterAsGuest(name);
    byId('join-password').value = '';
    remember(globalThis.sessionStorage, 'name', name);
  }

  #problem() {
    if (this.#session.user) return '';
    const empty = this.#visibleInputs().find((input) => !input.value.trim());
    if (empty) {
      empty.focus();
      return `Please fill in: ${empty.labels[0].textContent.toLowerCase()}.`;
    }
    const name = this.#mode === 'signin' ? '' : byId('join-name').value.trim();
    return [...name].length > LONGEST_NAME ? `A name has at most ${LONGEST_NAME} characters.` : '';
  }

  #visibleInputs() {
    return [...byId('join-credentials').querySelectorAll('.field:not([hidden]) input')];
  }

  #explain(error) {
    const guestsOff = error.status === 403 && this.#mode === 'guest';
    if (guestsOff) this.#setMode('signin');
    showText(byId('join-error'), guestsOff ? NO_GUESTS : explanation(error));
  }

  #busy(busy) {
    const button = byId('join-submit');
    button.disabled = busy;
    button.textContent = busy ? 'Joining…' : 'Join';
  }

  /** The list needs a token, so a newcomer sees it only after joining. */
  async #suggestRooms() {
    const rooms = this.#session.user ? await this.#api.rooms().catch(() => []) : [];
    const known = rooms.slice(0, MOST_CHIPS);
    byId('join-rooms').hidden = known.length === 0;
    byId('join-rooms').replaceChildren(...known.map((room) => this.#chip(room)));
    byId('room-options').replaceChildren(...rooms.map(({ roomId }) => element('option', { value: roomId })));
  }

  #chip({ roomId, onlineCount }) {
    const chip = element('button', { type: 'button', class: 'chip' }, element('bdi', {}, roomId), onlineBadge(onlineCount));
    chip.addEventListener('click', () => {
      byId('join-room').value = roomId;
      byId('join-submit').focus();
    });
    return chip;
  }
}

function firstEmpty(inputs) {
  return inputs.find((input) => !input.value) ?? inputs[0];
}

function explanation({ status, message, retryAfterMs }) {
  if (status === 0) return 'The server cannot be reached. Check your connection and try again.';
  if (status === 409) return 'That name belongs to someone. Please pick another one.';
  if (status === 429) return `Too many tries. Please wait ${Math.ceil(retryAfterMs / 1000) || 'a few'} seconds.`;
  if (status === 503) return 'The server is busy right now. Please try again in a moment.';
  return message;
}
