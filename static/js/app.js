import { Chatrooms } from '../client/chatrooms.js';
import { recall, remember } from '../client/storage.js';
import { AccountDialog } from './account.js';
import { Api } from './api.js';
import { Assistant } from './assistant.js';
import { copy } from './clipboard.js';
import { byId } from './dom.js';
import { Drawer } from './drawer.js';
import { inviteInUrl } from './invites.js';
import { JoinScreen } from './join.js';
import { MakeRoom } from './make-room.js';
import { roomInUrl, roomUrl } from './rooms.js';
import { installThemeToggles } from './theme.js';
import { followKeyboard } from './viewport.js';
import { Visit } from './visit.js';

/** This tab's user; its tokens stand in sessionStorage, so the tab beside it may be somebody else. */
const client = new Chatrooms();
const api = new Api(client);
const joinScreen = new JoinScreen({ client, api, onJoin: enter });
const assistant = new Assistant({ client });
const scrim = byId('scrim');
const drawers = [
  new Drawer({
    panel: byId('sidebar'), opener: byId('open-sidebar'), scrim, docked: matchMedia('(min-width: 820px)'), open: true,
  }),
  new Drawer({
    panel: byId('assistant'), opener: byId('open-assistant'), scrim, docked: matchMedia('(min-width: 1180px)'),
  }),
];
let visit = null;
let search = '';

/** Opens a room, from the one the page is in, if any. */
function enter(roomId) {
  if (inviteInUrl()) history.replaceState(null, '', roomUrl(roomId));
  else if (roomInUrl() !== roomId) history.pushState(null, '', roomUrl(roomId));
  remember(globalThis.sessionStorage, 'joined', true);
  drawers.forEach((drawer) => drawer.dismiss());
  showView('room');
  if (visit?.roomId === roomId) visit.open();
  else {
    visit?.close({ goodbye: true });
    visit = new Visit({ api, client, roomId, go: enter, onOut: () => leave() });
  }
  visit.focus();
}

function leave(options) {
  remember(globalThis.sessionStorage, 'joined', null);
  assistant.clear();
  visit?.close({ goodbye: Boolean(client.user) });
  visit = null;
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
  const joined = client.user && !inviteInUrl() && recall(globalThis.sessionStorage, 'joined') && roomInUrl();
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
new AccountDialog({ client, onLeft: (notice) => leave({ notice }) });
byId('leave').addEventListener('click', () => leave());
byId('copy-link').addEventListener('click', copyLink);
client.addEventListener('signed-out', () => leave({ notice: 'You were signed out. Please sign in again.' }));
globalThis.addEventListener('popstate', onPopState);
installThemeToggles();
followKeyboard();
start();
