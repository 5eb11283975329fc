import { byId, element, icon, place } from './dom.js';

const REFRESH_MS = 20_000;
const MOST_SHOWN = 30;
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

/** The list of rooms beside the conversation, kept fresh while the page is seen. */
export class RoomList {
  #api;
  #current;
  #rooms = [];
  #rows = new Map();
  #settings = {};
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

  /** The room that the page is in is another now. @param {{private: boolean, title: string | null}} settings */
  change({ private: isPrivate, title }) {
    this.#settings = { isPrivate, title };
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

  /** Rows of the same look are the same row, so that the focus stays where it is. */
  #draw(rooms) {
    this.#rooms = rooms;
    const known = rooms.some((room) => room.roomId === this.#current);
    const all = known ? rooms : [{ roomId: this.#current }, ...rooms];
    const looks = all.slice(0, MOST_SHOWN).map((room) => JSON.stringify(this.#look(room)));
    this.#rows = new Map(looks.map((look) => [look, this.#rows.get(look) ?? this.#row(JSON.parse(look))]));
    place(byId('room-list'), [...this.#rows.values()]);
  }

  #look({ roomId, onlineCount = 0, private: isPrivate = false, title = null }) {
    if (roomId !== this.#current) return { roomId, onlineCount, isPrivate, title };
    return { roomId, onlineCount: 0, isPrivate, title, ...this.#settings };
  }

  #row({ roomId, onlineCount, isPrivate, title }) {
    const link = element(
      'a', { href: roomUrl(roomId), 'aria-current': roomId === this.#current ? 'page' : null },
      element('span', { class: 'room-names' }, element('bdi', {}, title ?? roomId), title ? address(roomId) : null),
      isPrivate ? lock() : null,
      onlineBadge(onlineCount),
    );
    link.addEventListener('click', (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      this.#go(roomId);
    });
    return element('li', {}, link);
  }
}

/** Anybody may call a room what they like; its name is nobody else's. */
function address(roomId) {
  return element('bdi', { class: 'room-address' }, roomId);
}

function lock() {
  const sign = icon('lock');
  sign.classList.add('lock');
  sign.removeAttribute('aria-hidden');
  sign.setAttribute('role', 'img');
  sign.setAttribute('aria-label', 'private');
  return sign;
}
