import { Chatrooms } from '../client/chatrooms.js';
import { adoptStyles } from '../client/elements/build.js';
import { COMPOSER } from '../client/elements/composer-style.js';
import { CONTROLS } from '../client/elements/controls-style.js';
import { ROOM } from '../client/elements/room-style.js';
import { SignIns } from '../client/sign-ins.js';
import { recall, remember } from '../client/storage.js';
import { AccountDialog } from './account.js';
import { Api } from './api.js';
import { Assistant } from './assistant.js';
import { copy } from './clipboard.js';
import { byId, drawIcon } from './dom.js';
import { Drawer } from './drawer.js';
import { inviteInUrl } from './invites.js';
import { JoinScreen } from './join.js';
import { MakeRoom } from './make-room.js';
import { tab } from './memory.js';
import { roomInUrl, roomUrl } from './rooms.js';
import { installThemeToggles } from './theme.js';
import { followKeyboard } from './viewport.js';
import { Visit } from './visit.js';

/** An account is shared by all tabs; a guest belongs to one tab, so the next tab may have another user. */
const signIns = new SignIns();
const client = new Chatrooms({ storage: signIns });
const api = new Api(client);
const joinScreen = new JoinScreen({ client, api, signIns, onJoin: enter });
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

/** Opens a room, leaving the current one, if any. */
function enter(roomId) {
  if (inviteInUrl()) history.replaceState(null, '', roomUrl(roomId));
  else if (roomInUrl() !== roomId) history.pushState(null, '', roomUrl(roomId));
  remember(tab, 'joined', true);
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
  remember(tab, 'joined', null);
  assistant.clear();
  visit?.close({ goodbye: Boolean(client.user) });
  visit = null;
  drawers.forEach((drawer) => drawer.dismiss());
  showView('join');
  joinScreen.show(options);
}

/** Rejoins the same room as the current user. */
function reenter() {
  const { roomId } = visit;
  visit.close({ goodbye: true });
  visit = null;
  enter(roomId);
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
  const joined = client.user && !inviteInUrl() && recall(tab, 'joined') && roomInUrl();
  if (joined) enter(roomInUrl());
  else leave();
}

function copyLink() {
  copy(location.origin + roomUrl(roomInUrl()), 'Link to this room copied');
}

/** The skip link only changes the hash, which is not a navigation. */
function onPopState() {
  if (location.search !== search) start();
}

adoptStyles(document, [CONTROLS, ROOM, COMPOSER]);
for (const node of document.querySelectorAll('[data-icon]')) drawIcon(node, node.dataset.icon);
new MakeRoom({ api, onMade: enter });
new AccountDialog({ client, onLeft: (notice) => leave({ notice }) });
byId('leave').addEventListener('click', () => leave());
byId('copy-link').addEventListener('click', copyLink);
client.account.addEventListener('refreshed', () => !visit || visit.renew() || reenter());
client.addEventListener('signed-out', () => leave({ notice: 'You were signed out.' }));
globalThis.addEventListener('popstate', onPopState);
installThemeToggles();
followKeyboard();
start();
