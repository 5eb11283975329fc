import { avatar } from '../client/elements/people.js';
import { request } from '../client/http.js';
import { recall, remember } from '../client/storage.js';
import { byId, element, putText } from './dom.js';
import { inviteInUrl } from './invites.js';
import { browser, tab } from './memory.js';
import { onlineBadge, roomInUrl, roomProblem } from './rooms.js';

const DEFAULT_ROOM = 'lobby';
const LONGEST_NAME = 32;
const SHORTEST_PASSWORD = 8;
const MOST_CHIPS = 8;
const LOOPBACK = ['localhost', '127.0.0.1', '[::1]'];
const GUESTS_OFF = 'guests-off';
const NO_GUESTS = 'This server does not accept guests. Sign in, or create an account.';

/** The first screen: who are you, and which room. */
export class JoinScreen {
  #client;
  #api;
  #signIns;
  #onJoin;
  #mode = 'guest';
  #invite = '';

  /**
   * @param {{client: import('../client/chatrooms.js').Chatrooms, api: import('./api.js').Api,
   *   signIns: import('../client/sign-ins.js').SignIns, onJoin: (roomId: string) => void}} options
   */
  constructor({ client, api, signIns, onJoin }) {
    this.#client = client;
    this.#api = api;
    this.#signIns = signIns;
    this.#onJoin = onJoin;
    byId('join-form').addEventListener('submit', (event) => this.#submit(event));
    byId('join-switch').addEventListener('click', () => this.#stepAside());
    byId('join-signout').addEventListener('click', () => this.#signOut());
    globalThis.addEventListener('storage', () => byId('join-view').hidden || this.#onOtherTab());
    for (const button of byId('join-modes').children) {
      button.addEventListener('click', () => this.#setMode(button.dataset.mode));
    }
  }

  /** @param {{notice?: string}} [options] why the user is here again */
  show({ notice = '' } = {}) {
    putText(byId('join-notice'), notice);
    putText(byId('join-error'), '');
    byId('join-room').value = roomInUrl() || recall(tab, 'last-room') || DEFAULT_ROOM;
    byId('join-name').value = recall(tab, 'name') ?? '';
    this.#invite = inviteInUrl();
    this.#dress();
    this.#setMode(recall(browser, GUESTS_OFF) ? 'signin' : 'guest');
    this.#suggestRooms();
    if (!this.#client.user && !LOOPBACK.includes(location.hostname)) this.#findOut();
  }

  /** An invite names the room. */
  #dress() {
    byId('join-heading').textContent = this.#invite ? 'You are invited to a room' : 'Join a room';
    byId('join-where').hidden = Boolean(this.#invite);
    this.#busy(false);
  }

  /** Whether guests are admitted, by a request that cannot create one. On loopback they are by default. */
  async #findOut() {
    const answer = await request('POST', '/api/auth/guest', { body: { username: '' } }).catch((error) => error);
    this.#noteGuests(answer.code === 'guests-off');
  }

  #noteGuests(off) {
    remember(browser, GUESTS_OFF, off || null);
    if (off && this.#mode === 'guest') this.#setMode('signin');
  }

  #setMode(mode) {
    this.#mode = mode;
    const { user } = this.#client;
    byId('join-identity').hidden = !user;
    byId('join-credentials').hidden = Boolean(user);
    byId('join-modes').hidden = Boolean(user);
    for (const field of byId('join-credentials').children) {
      field.hidden = !field.dataset.modes.split(' ').includes(mode);
    }
    for (const button of byId('join-modes').children) button.hidden = button.dataset.mode === mode || noGuests(button.dataset.mode);
    byId('join-password').autocomplete = mode === 'signup' ? 'new-password' : 'current-password';
    putText(byId('join-error'), '');
    this.#offerGuests();
    if (user) this.#showUser(user);
    else firstEmpty(this.#visibleInputs()).focus();
  }

  #showUser({ userId, username, guest }) {
    byId('join-avatar').replaceChildren(avatar(userId, username));
    byId('join-username').textContent = byId('join-username').title = username;
    byId('join-as').textContent = guest ? 'Guest' : 'Signed in';
    byId('join-signout').hidden = Boolean(guest);
    byId('join-room').focus();
  }

  /** This browser's earlier guests, to continue as one of them. */
  #offerGuests() {
    const guests = this.#client.user || this.#mode !== 'guest' ? [] : this.#signIns.guests;
    const words = (name) => ['Continue as ', element('bdi', {}, name)];
    const chips = guests.map((kept) => {
      const { userId, username } = kept.user;
      const chip = element('button', { type: 'button', class: 'chip as', title: username }, avatar(userId, username), element('span', {}, ...words(username)));
      chip.addEventListener('click', () => this.#continueAs(kept));
      return chip;
    });
    byId('join-guests').replaceChildren(...chips);
    byId('join-guests').hidden = chips.length === 0;
  }

  #continueAs(kept) {
    this.#client.account.adopt(kept);
    this.#setMode('guest');
    byId('join-form').requestSubmit();
  }

  /** A sign-in or sign-out in another tab, which applies here if nobody is signed in, or the same account. */
  #onOtherTab() {
    const { account } = this.#signIns;
    if (!this.#client.user && account) {
      this.#client.account.adopt(account);
      this.#setMode(this.#mode);
      this.#suggestRooms();
    } else this.#offerGuests();
  }

  /** For a different user at this tab; other tabs stay signed in. */
  #stepAside() {
    this.#signIns.stepAside();
    this.#client.account.adopt(null);
    this.#beNobody();
  }

  async #signOut() {
    const done = this.#client.account.signOut();
    this.#beNobody();
    await done;
  }

  #beNobody() {
    remember(tab, 'name', null);
    byId('join-name').value = '';
    byId('join-rooms').hidden = true;
    byId('room-options').replaceChildren();
    this.#setMode(recall(browser, GUESTS_OFF) ? 'signin' : 'guest');
  }

  async #submit(event) {
    event.preventDefault();
    const roomId = byId('join-room').value.trim().normalize('NFC');
    for (const input of byId('join-form').querySelectorAll('[aria-invalid]')) input.removeAttribute('aria-invalid');
    const problem = this.#problem() || this.#roomProblem(roomId);
    putText(byId('join-error'), problem);
    if (problem) return;
    this.#busy(true);
    try {
      if (!this.#client.user) await this.#enter();
      const goal = this.#invite ? await this.#api.acceptInvite(this.#invite) : roomId;
      await this.#api.rooms();
      remember(tab, 'last-room', goal);
      this.#onJoin(goal);
    } catch (error) {
      this.#explain(error);
    } finally {
      this.#busy(false);
    }
  }

  async #enter() {
    const [name, account, email] = ['name', 'account', 'email'].map((id) => byId(`join-${id}`).value.trim());
    const password = byId('join-password').value;
    if (this.#mode === 'signin') await this.#client.account.signIn(account, password);
    else if (this.#mode === 'signup') await this.#client.account.signUp(name, email, password);
    else {
      await this.#client.account.enterAsGuest(name);
      this.#noteGuests(false);
    }
    byId('join-password').value = '';
    remember(tab, 'name', name);
  }

  #problem() {
    if (this.#client.user) return '';
    const empty = this.#visibleInputs().find((input) => !input.value.trim());
    if (empty) {
      markInvalid(empty);
      return `${empty.labels[0].textContent} is required.`;
    }
    const name = this.#mode === 'signin' ? '' : byId('join-name').value.trim();
    if (this.#mode === 'signup' && [...byId('join-password').value].length < SHORTEST_PASSWORD) {
      markInvalid(byId('join-password'));
      return `A password needs at least ${SHORTEST_PASSWORD} characters.`;
    }
    if ([...name].length <= LONGEST_NAME) return '';
    markInvalid(byId('join-name'));
    return `A name has at most ${LONGEST_NAME} characters.`;
  }

  #roomProblem(roomId) {
    const problem = this.#invite ? '' : roomProblem(roomId);
    if (problem) markInvalid(byId('join-room'));
    return problem;
  }

  #visibleInputs() {
    return [...byId('join-credentials').querySelectorAll('.field:not([hidden]) input')];
  }

  #explain(error) {
    if (error.code === 'guests-off') this.#noteGuests(true);
    if (this.#invite && this.#client.user) this.#setMode(this.#mode);
    if (this.#invite && error.code === 'not-found') this.#dropInvite();
    else putText(byId('join-error'), explanation(error));
  }

  #dropInvite() {
    history.replaceState(null, '', '/');
    this.#invite = '';
    this.#dress();
    putText(byId('join-error'), 'This invite has been used up or revoked, or has expired. Ask for a new one, or join another room.');
  }

  #busy(busy) {
    const button = byId('join-submit');
    button.disabled = busy;
    const words = this.#invite ? 'Accept and join' : 'Join';
    button.textContent = busy ? 'Joining…' : words;
  }

  /** The list needs a token, so a newcomer sees it only after joining. */
  async #suggestRooms() {
    const { user } = this.#client;
    const { rooms } = user ? await this.#api.rooms().catch(() => ({ rooms: [] })) : { rooms: [] };
    if (this.#client.user?.userId !== user?.userId) return; // these are another user's rooms
    const known = rooms.slice(0, MOST_CHIPS);
    byId('join-rooms').hidden = known.length === 0;
    byId('join-rooms').replaceChildren(...known.map((room) => this.#chip(room)));
    byId('room-options').replaceChildren(...rooms.map(({ roomId }) => element('option', { value: roomId })));
  }

  #chip({ roomId, title, onlineCount }) {
    const attributes = { type: 'button', class: 'chip', title: title ? roomId : null };
    const chip = element('button', attributes, element('bdi', {}, title ?? roomId), onlineBadge(onlineCount));
    chip.addEventListener('click', () => {
      byId('join-room').value = roomId;
      byId('join-submit').focus();
    });
    return chip;
  }
}

function noGuests(mode) {
  return mode === 'guest' && Boolean(recall(browser, GUESTS_OFF));
}

function markInvalid(input) {
  input.setAttribute('aria-invalid', 'true');
  input.focus();
}

function firstEmpty(inputs) {
  return inputs.find((input) => !input.value) ?? inputs[0];
}

function explanation({ status, code, message, retryAfterMs }) {
  if (code === 'guests-off') return NO_GUESTS;
  if (code === 'refresh-invalid') return ''; // the notice already says that nobody is signed in
  if (status === 0) return 'The server cannot be reached. Check your connection and try again.';
  if (code === 'name-taken') return `${message} Sign in if it is yours, or pick another one.`;
  if (status === 429) return `Too many tries. Please wait ${Math.ceil(retryAfterMs / 1000) || 'a few'} seconds.`;
  if (status === 503) return 'The server is busy right now. Please try again in a moment.';
  return message;
}
