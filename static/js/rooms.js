import { byId, element, icon, place, putText } from './dom.js';

const REFRESH_MS = 20_000;
const PAGE = 100;
const MOST_PAGES = 100; // read for one search
const MOST_FRESH = 500; // rooms that are refreshed
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
 * The number of people in a room, or null when there are none.
 * @param {number} count
 */
export function onlineBadge(count) {
  return count ? element('span', { class: 'count' }, String(count), element('span', { class: 'sr-only' }, ' online')) : null;
}

/**
 * The list of rooms beside the conversation, page by page, refreshed while visible. The current room
 * is always shown.
 */
export class RoomList {
  #api;
  #current;
  #go;
  #signal;
  #rooms = [];
  #hasMore = false;
  #shown = PAGE;
  #sought = '';
  #turn = 0;
  #reading = false;
  #rows = new Map();
  #listed = false;
  #seen = null;
  #settings = {};

  /**
   * @param {{api: import('./api.js').Api, current: string, go: (roomId: string) => void, signal: AbortSignal}} options
   */
  constructor({ api, current, go, signal }) {
    this.#api = api;
    this.#current = current;
    this.#go = go;
    this.#signal = signal;
    const timer = setInterval(() => document.hidden || this.refresh(), REFRESH_MS);
    signal.addEventListener('abort', () => clearInterval(timer));
    byId('room-form').addEventListener('submit', (event) => this.#submit(event), { signal });
    byId('room-form-input').addEventListener('input', () => this.#seek(), { signal });
    byId('rooms-more').addEventListener('click', () => this.#more(), { signal });
    byId('open-sidebar').addEventListener('click', () => requestAnimationFrame(() => this.#showCurrent()), { signal });
    byId('room-form-input').value = '';
    this.#draw();
  }

  /** Refreshes what is shown; not during a search, nor for a very long list. */
  async refresh() {
    if (!this.#sought && this.#shown <= MOST_FRESH) await this.#read([]);
  }

  /** The current room's settings have changed. @param {{private: boolean, title: string | null}} settings */
  change({ private: isPrivate, title }) {
    this.#settings = { isPrivate, title };
    this.#draw();
  }

  async #more() {
    const before = byId('room-list').children.length;
    this.#shown += PAGE;
    await this.#read(this.#rooms, this.#hasMore);
    byId('room-list').children[before]?.querySelector('a').focus();
  }

  #seek() {
    this.#sought = folded(byId('room-form-input').value);
    this.#shown = PAGE;
    return this.#sought ? this.#read(this.#rooms, this.#hasMore) : this.#read([]);
  }

  /**
   * Reads on after `rooms` until there are enough to show. A response that arrives after the next
   * request, or after the visit, is ignored.
   */
  async #read(rooms, hasMore = true) {
    const turn = this.#turn += 1;
    this.#reading = true;
    this.#draw();
    for (let pages = 0; hasMore && pages < MOST_PAGES && this.#like(rooms).length < this.#shown; pages += 1) {
      const page = await this.#api.rooms({ after: rooms.at(-1)?.roomId, limit: PAGE }).catch(() => null);
      if (turn !== this.#turn || this.#signal.aborted) return;
      if (!page) break;
      [rooms, hasMore] = [[...rooms, ...page.rooms], page.hasMore];
      if (this.#sought) this.#keep(rooms, hasMore);
    }
    this.#reading = false;
    if (rooms.length || !hasMore) this.#keep(rooms, hasMore);
    else this.#draw();
  }

  #keep(rooms, hasMore) {
    this.#rooms = rooms;
    this.#hasMore = hasMore;
    this.#draw();
  }

  #submit(event) {
    event.preventDefault();
    const input = byId('room-form-input');
    const roomId = input.value.trim().normalize('NFC');
    input.setCustomValidity(roomProblem(roomId));
    if (input.reportValidity()) this.#go(roomId);
    input.addEventListener('input', () => input.setCustomValidity(''), { once: true });
  }

  #like(rooms) {
    if (!this.#sought) return rooms;
    return rooms.filter(({ roomId, title }) => folded(`${roomId}\n${title ?? ''}`).includes(this.#sought));
  }

  /** Rows that look the same are the same row, so that the focus stays. */
  #draw() {
    const found = this.#like(this.#rooms);
    const shown = found.slice(0, this.#shown);
    const here = this.#rooms.find(({ roomId }) => roomId === this.#current) ?? { roomId: this.#current };
    this.#listed = shown.includes(here);
    const all = this.#listed ? shown : [here, ...shown];
    const looks = all.map((room) => JSON.stringify(this.#look(room)));
    this.#rows = new Map(looks.map((look) => [look, this.#rows.get(look) ?? this.#row(JSON.parse(look))]));
    place(byId('room-list'), [...this.#rows.values()]);
    this.#showCurrent();
    byId('rooms-more').hidden = found.length <= this.#shown && !(this.#hasMore && !this.#reading);
    putText(byId('rooms-found'), this.#words(found.length));
  }

  /** Scrolls to the current room, once when it is among the others and once when it is not. */
  #showCurrent() {
    const [list, row] = [byId('room-scroll'), byId('room-list').querySelector('[aria-current]').parentElement];
    if (this.#listed === this.#seen || !list.clientHeight) return;
    this.#seen = this.#listed;
    const below = row.offsetTop - list.offsetTop + row.offsetHeight - list.clientHeight;
    list.scrollTop = Math.max(0, below + (below > 0 ? row.offsetHeight : 0));
  }

  #words(found) {
    if (!this.#sought) return '';
    if (!found) return this.#reading ? 'Searching…' : 'No matching room. Press Enter to go to the room of this name.';
    return `${found.toLocaleString()}${this.#hasMore ? ' or more' : ''} found`;
  }

  #look({ roomId, onlineCount = 0, private: isPrivate = false, title = null }) {
    if (roomId !== this.#current) return { roomId, onlineCount, isPrivate, title };
    return { roomId, onlineCount: 0, isPrivate, title, ...this.#settings };
  }

  #row({ roomId, onlineCount, isPrivate, title }) {
    const link = element(
      'a', { href: roomUrl(roomId), 'aria-current': roomId === this.#current ? 'page' : null },
      element('span', { class: 'room-names', title: title ? `${title} (${roomId})` : roomId }, element('bdi', {}, title ?? roomId), title ? address(roomId) : null),
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

function folded(text) {
  return text.trim().normalize('NFKC').toLocaleLowerCase();
}

/** Anybody may give a room any title; its name is unique. */
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
