import assert from 'node:assert/strict';
import test from 'node:test';

import { SignIns } from '../client/sign-ins.js';
import { Tokens } from '../client/tokens.js';
import { FakeClock, json, MemoryStorage, refuse, serve } from './standin.mjs';

const TTL = 900;

/** A browser: what its tabs share, and a tab of it, which has a storage of its own. */
class Browser {
  local = new MemoryStorage();
  clock = new FakeClock();

  tab(url, t, session = new MemoryStorage()) {
    const storage = this.signIns(session);
    const channel = new BroadcastChannel(`sign-ins ${url}`);
    const tokens = new Tokens({ url, storage, channel, clock: this.clock, fetch: this.clock.fetch });
    t.after(() => {
      tokens.close();
      channel.close();
    });
    return { tokens, storage, session };
  }

  signIns(session) {
    Object.assign(globalThis, { localStorage: this.local, sessionStorage: session });
    return new SignIns();
  }
}

/** Sign-ins by name; a refresh token is good once, and of one used twice the sign-in ends. */
async function server(t) {
  const ended = new Set();
  const used = new Set();
  const tokens = (name, number) => ({
    token: `${name}.${number}`, refreshToken: `${name}.${number}`, expiresIn: TTL,
    user: { userId: name, username: name, role: 'user' },
  });
  const it = await serve((request, response, body, name) => {
    const [who, number] = (body.refreshToken ?? `${body.username}.0`).split('.');
    if (name === 'POST /api/auth/signout') return response.writeHead(204).end();
    if (name !== 'POST /api/auth/refresh') return json(response, tokens(who, 0), 201);
    if (used.has(body.refreshToken)) ended.add(who);
    used.add(body.refreshToken);
    return ended.has(who) ? refuse(response, 401, 'refresh-invalid') : json(response, tokens(who, Number(number) + 1));
  });
  t.after(() => it.close());
  return { url: it.url, ended, count: it.count };
}

test('an account is found by a tab opened after a restart, and a guest only in its own', async (t) => {
  const { url } = await server(t);
  const browser = new Browser();
  const first = browser.tab(url, t);
  await first.tokens.signIn('grace', 'secret');
  assert.equal(browser.tab(url, t).tokens.user.username, 'grace');

  const aside = browser.tab(url, t);
  aside.storage.stepAside();
  aside.tokens.adopt(null);
  await aside.tokens.enterAsGuest('ada');
  assert.equal(browser.tab(url, t).tokens.user.username, 'grace');
  assert.equal(browser.tab(url, t, aside.session).tokens.user.username, 'ada');
  assert.deepEqual(aside.storage.guests.map(({ user }) => user.username), ['ada']);
});

test('a tab that slept for hours goes on with the newest tokens of its browser', async (t) => {
  const { url, ended } = await server(t);
  const browser = new Browser();
  const first = browser.tab(url, t);
  await first.tokens.enterAsGuest('ada');
  const copy = new MemoryStorage();
  copy.setItem('chatrooms.session', first.session.getItem('chatrooms.session'));
  await browser.clock.advance(6 * 3600 * 1000);
  first.tokens.close();
  const woken = browser.tab(url, t, copy);
  const token = woken.tokens.token();
  await browser.clock.advance(2000);
  assert.notEqual(await token, 'ada.0');
  assert.deepEqual([...ended], []);
});

test('to sign out is for all tabs, also for what is stored, and for nobody else', async (t) => {
  const { url, count } = await server(t);
  const browser = new Browser();
  const first = browser.tab(url, t);
  await first.tokens.signIn('grace', 'secret');
  const beside = browser.tab(url, t);
  const guest = browser.tab(url, t);
  guest.storage.stepAside();
  await guest.tokens.enterAsGuest('ada');
  const signedOut = new Promise((resolve) => beside.tokens.addEventListener('signed-out', resolve));
  await first.tokens.signOut();
  await signedOut;
  assert.equal(count('POST /api/auth/signout'), 1);
  assert.deepEqual([first, beside, browser.tab(url, t)].map(({ tokens }) => tokens.user), [null, null, null]);
  assert.equal(guest.tokens.user.username, 'ada');
  await guest.tokens.signOut();
  assert.deepEqual(guest.storage.guests, []);
});

test('of guests the last few are remembered, and one that became an account is none', async (t) => {
  const { url } = await server(t);
  const browser = new Browser();
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  let last;
  for (const name of names) {
    last = browser.tab(url, t);
    await last.tokens.enterAsGuest(name);
  }
  assert.deepEqual(last.storage.guests.map(({ user }) => user.username), names.slice(1).reverse());
  const beside = browser.tab(url, t);
  beside.tokens.adopt(last.storage.guests[0]);
  const along = new Promise((resolve) => beside.tokens.addEventListener('refreshed', resolve));
  await browser.clock.advance(1000);
  await last.tokens.enter('/api/signup', { username: 'f' }, await last.tokens.token());
  await along;
  assert.deepEqual(last.storage.guests.map(({ user }) => user.username), ['e', 'd', 'c', 'b']);
  assert.deepEqual([last.storage.account.user.guest, beside.tokens.user.guest], [false, false]);
});

test('what is stored and makes no sense is nobody', async (t) => {
  const { url } = await server(t);
  const browser = new Browser();
  browser.local.setItem('chatrooms.account', '{');
  browser.local.setItem('chatrooms.guests', '[1, {"user": {}}]');
  const { tokens, storage } = browser.tab(url, t);
  assert.deepEqual([tokens.user, storage.guests], [null, []]);
});
