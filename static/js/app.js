import { AccountDialog } from './account.js';
import { Api } from './api.js';
import { Assistant } from './assistant.js';
import { copy } from './clipboard.js';
import { byId } from './dom.js';
import { Drawer } from './drawer.js';
import { randomId } from './ids.js';
import { inviteInUrl } from './invites.js';
import { JoinScreen } from './join.js';
import { MakeRoom } from './make-room.js';
import { Room } from './room.js';
import { roomInUrl, roomUrl } from './rooms.js';
import { Session } from './session.js';
import { recall, remember } from './storage.js';
import { installThemeToggles } from './theme.js';
import { followKeyboard } from './viewport.js';

/** Made anew per load: a duplicated tab copies sessionStorage, and two streams would replace each other. */
const clientId = randomId();
const session = new Session();
const api = new Api(session);
const joinScreen = new JoinScreen({ session, api, onJoin: enter });
const assistant = new Assistant({ api, session });
const scrim = byId('scrim');
const drawers = [
  new Drawer({
    panel: byId('sidebar'), opener: byId('open-sidebar'), scrim, docked: matchMedia('(min-width: 820px)'), open: true,
  }),
  new Drawer({
    panel: byId('assistant'), opener: byId('open-assistant'), scrim, docked: matchMedia('(min-width: 1180px)'),
  }),
];
let room = null;
let search = '';

/** Opens a room, from the one the page is in, if any. */
function enter(roomId) {
  if (inviteInUrl()) history.replaceState(null, '', roomUrl(roomId));
  else if (roomInUrl() !== roomId) history.pushState(null, '', roomUrl(roomId));
  remember(globalThis.sessionStorage, 'joined', true);
  room?.close({ goodbye: true });
  drawers.forEach((drawer) => drawer.dismiss());
  showView('room');
  room = new Room({ api, session, roomId, clientId, go: enter, onOut: () => leave() });
  room.focus();
}

function leave(options) {
  remember(globalThis.sessionStorage, 'joined', null);
  assistant.clear();
  room?.close({ goodbye: Boolean(session.user) });
  room = null;
  drawers.forEach((drawer) => drawer.dismiss());
  showView('join');
  joinScreen.show(options);
}

function showView(name) {
  for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close();
  byId('menu').hidePopover();
  byId('join-view').hidden = name !== 'join';
  byId('room-view').hidden = name !== 'room';
  document.querySelector('.skip-link').setAttribute('href', `#${name}-main`);
  search = location.search;
  if (name === 'join') document.title = 'chatrooms';
}

function start() {
  const joined = session.user && !inviteInUrl() && recall(globalThis.sessionStorage, 'joined') && roomInUrl();
  if (joined) enter(roomInUrl());
  else leave();
}

function copyLink() {
  copy(location.origin + roomUrl(roomInUrl()), 'Link to this room copied');
}

/** The skip link changes the hash only, which is no move. */
function onPopState() {
  if (location.search !== search) start();
}

new MakeRoom({ api, onMade: enter });
new AccountDialog({ session, onLeft: (notice) => leave({ notice }) });
byId('leave').addEventListener('click', () => leave());
byId('copy-link').addEventListener('click', copyLink);
session.addEventListener('signed-out', () => leave({ notice: 'You were signed out. Please sign in again.' }));
globalThis.addEventListener('popstate', onPopState);
installThemeToggles();
followKeyboard();
start();
