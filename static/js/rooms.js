import { byId, element, icon } from './dom.js';
import { recall, remember } from './storage.js';

const REFRESH_MS = 20_000;
const MOST_SHOWN = 30;
const PRIVATE = 'private-rooms';
const ROOM_PATTERN = /^(?! )[\p{L}\p{M}\p{N}._: -]{1,64}(?<! )$/u;

/** The room's own address, to link and to share. @param {string} roomId */
export function roomUrl(roomId) {
  return `/?room=${encodeURIComponent(roomId)}`;
}

/** @returns {string} the room named in this page's address, or '' */
export function roomInUrl() {
  return new URLSearchParams(location.search).get('room')?.trim() ?? '';
}

/**
 * What is wrong with a room name, or ''.
 * @param {string} roomId
 */
export function roomProblem(roomId) {
  if (!roomId) return 'Please name a room.';
  if (ROOM_PATTERN.test(roomId)) return '';
  return 'A room name has 1 to 64 letters, digits, spaces or the signs . _ - :';
}

/**
 * How many are in a room, or null when nobody is.
 * @param {number} count
 */
export function onlineBadge(count) {
  return count ? element('span', { class: 'count' }, String(count), element('span', { class: 'sr-only' }, ' online')) : null;
}

/** Notes whether a room is private: the list of rooms does not say. */
export function noteAccess(roomId, isPrivate) {
  const known = new Set(recall(globalThis.sessionStorage, PRIVATE) ?? []);
  if (isPrivate) known.add(roomId);
  else known.delete(roomId);
  remember(globalThis.sessionStorage, PRIVATE, [...known]);
}

/** The list of rooms beside the conversation, kept fresh while the page is seen. */
export class RoomList {
  #api;
  #current;
  #rooms = [];
  #go;

  /**
   * @param {{api: import('./api.js').Api, current: string, go: (roomId: string) => void, signal: AbortSignal}} options
   */
  constructor({ api, current, go, signal }) {
    this.#api = api;
    this.#current = current;
    this.#go = go;
    const timer = setInterval(() => document.hidden || this.refresh(), REFRESH_MS);
    signal.addEventListener('abort', () => clearInterval(timer));
    byId('room-form').addEventListener('submit', (event) => this.#submit(event), { signal });
    byId('room-form-input').value = '';
    this.#draw([]);
  }

  async refresh() {
    const rooms = await this.#api.rooms().catch(() => null);
    if (rooms) this.#draw(rooms);
  }

  /** Draws it again: a room's access may have become known. */
  redraw() {
    this.#draw(this.#rooms);
  }

  #submit(event) {
    event.preventDefault();
    const input = byId('room-form-input');
    const roomId = input.value.trim().normalize('NFC');
    input.setCustomValidity(roomProblem(roomId));
    if (input.reportValidity()) this.#go(roomId);
    input.addEventListener('input', () => input.setCustomValidity(''), { once: true });
  }

  #draw(rooms) {
    this.#rooms = rooms;
    const known = rooms.some((room) => room.roomId === this.#current);
    const all = known ? rooms : [{ roomId: this.#current }, ...rooms];
    const secret = new Set(recall(globalThis.sessionStorage, PRIVATE) ?? []);
    const rows = all.slice(0, MOST_SHOWN).map((room) => this.#row({ private: secret.has(room.roomId), ...room }));
    byId('room-list').replaceChildren(...rows);
  }

  #row({ roomId, onlineCount, private: isPrivate }) {
    const current = roomId === this.#current;
    const link = element(
      'a', { href: roomUrl(roomId), 'aria-current': current ? 'page' : null },
      element('bdi', {}, roomId),
      isPrivate ? lock() : null,
      current ? null : onlineBadge(onlineCount),
    );
    link.addEventListener('click', (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      this.#go(roomId);
    });
    return element('li', {}, link);
  }
}

function lock() {
  const sign = icon('lock');
  sign.classList.add('lock');
  sign.removeAttribute('aria-hidden');
  sign.setAttribute('role', 'img');
  sign.setAttribute('aria-label', 'private');
  return sign;
}
