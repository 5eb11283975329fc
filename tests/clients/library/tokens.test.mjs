import assert from 'node:assert/strict';
import test from 'node:test';

import { Chatrooms } from '../client/chatrooms.js';
import { Tokens } from '../client/tokens.js';
import { FakeClock, json, MemoryStorage, refuse, serve, stream } from './standin.mjs';

const TTL = 900;
const DAY_MS = 24 * 3600 * 1000;

/** Refresh tokens as the server has them: `r<n>`, whose successor is always `r<n+1>`; used after that one was: revoked. */
class Family {
  used = 0;
  revoked = false;

  constructor(clock) {
    this.clock = clock;
  }

  tokens(number) {
    const ends = this.clock.now() + TTL * 1000;
    const user = { userId: '7', username: 'Ada', role: 'user' };
    return { token: `a${number}.${ends}`, refreshToken: `r${number}`, expiresIn: TTL, user };
  }

  refresh(refreshToken, response) {
    const number = Number(refreshToken.slice(1));
    if (this.revoked || number < this.used) {
      this.revoked = true;
      return refuse(response, 401, 'refresh-invalid');
    }
    this.used = number;
    return json(response, this.tokens(number + 1));
  }
}

const endOf = (token) => Number(token.split('.')[1]);
const bearer = (request) => (request.headers.authorization ?? '').replace('Bearer ', '');

test('a day of refreshes: one at a time, no gap, no storm', async (t) => {
  const clock = new FakeClock();
  const family = new Family(clock);
  let streamEnds = 0;
  let atOnce = 0;
  let most = 0;
  const server = await serve(async (request, response, body, name) => {
    if (name === 'POST /api/auth/guest') json(response, family.tokens(0), 201);
    else if (name === 'POST /api/auth/refresh') {
      most = Math.max(most, ++atOnce);
      await new Promise(setImmediate);
      family.refresh(body.refreshToken, response);
      atOnce -= 1;
    } else if (name === 'POST /api/auth/extend') {
      assert.ok(clock.now() < streamEnds, 'the stream was extended too late');
      streamEnds = endOf(bearer(request));
      json(response, {});
    } else if (name === 'GET /events') {
      streamEnds = endOf(bearer(request));
      const send = stream(response);
      send('system', { heartbeat: 0, recovered: true }, { id: 'e-1' });
    } else if (clock.now() >= endOf(bearer(request))) refuse(response, 401, 'token-expired');
    else json(response, {});
  });
  t.after(() => server.close());
  const chat = new Chatrooms({ url: server.url, clock, fetch: clock.fetch, storage: new MemoryStorage() });
  await chat.account.enterAsGuest('Ada');
  const room = chat.room('lobby');
  const states = [];
  room.addEventListener('state', ({ detail }) => states.push(detail.state));
  for (let passed = 0; passed < DAY_MS; passed += 600_000) {
    await clock.advance(600_000);
    await Promise.all(Array.from({ length: 5 }, () => chat.json('GET', '/api/rooms')));
    assert.ok(clock.now() < streamEnds, 'the stream has expired');
  }
  assert.deepEqual(states, ['open']);
  assert.equal(server.count('GET /events'), 1);
  assert.equal(most, 1);
  const refreshes = server.count('POST /api/auth/refresh');
  const periods = DAY_MS / (TTL - 90) / 1000;
  assert.ok(refreshes >= Math.floor(periods) && refreshes <= periods + 1, `${refreshes} refreshes`);
  chat.close();
});

test('calls that are refused together wait for one refresh', async (t) => {
  const clock = new FakeClock();
  const family = new Family(clock);
  const server = await serve((request, response, body, name) => {
    if (name === 'POST /api/auth/refresh') return family.refresh(body.refreshToken, response);
    if (name === 'POST /api/auth/guest') return json(response, family.tokens(0), 201);
    return bearer(request).startsWith('a0') ? refuse(response, 401, 'token-revoked') : json(response, { fine: true });
  });
  t.after(() => server.close());
  const chat = new Chatrooms({ url: server.url, clock, fetch: clock.fetch, storage: new MemoryStorage() });
  await chat.account.enterAsGuest('Ada');
  const answers = await Promise.all(Array.from({ length: 20 }, () => chat.json('GET', '/api/rooms')));
  assert.ok(answers.every(({ fine }) => fine));
  assert.equal(server.count('POST /api/auth/refresh'), 1);
  chat.close();
});

test('copied tabs share a sign-in for a day, and one that slept does not end it', async (t) => {
  const clock = new FakeClock();
  const family = new Family(clock);
  const server = await serve((request, response, body, name) => {
    if (name === 'POST /api/auth/refresh') family.refresh(body.refreshToken, response);
    else json(response, family.tokens(0), 201);
  });
  t.after(() => server.close());
  const tabs = [];
  const open = (storage) => {
    const channel = new BroadcastChannel('tokens');
    t.after(() => channel.close());
    tabs.push(new Tokens({ url: server.url, clock, fetch: clock.fetch, storage, channel }));
    return tabs.at(-1);
  };
  const storage = new MemoryStorage();
  await open(storage).enterAsGuest('Ada');
  const sleeper = new MemoryStorage();
  sleeper.setItem('chatrooms.session', storage.getItem('chatrooms.session'));
  const copy = new MemoryStorage();
  copy.setItem('chatrooms.session', storage.getItem('chatrooms.session'));
  open(copy);
  await clock.advance(DAY_MS);
  const refreshes = server.count('POST /api/auth/refresh');
  assert.ok(refreshes <= 2 * (DAY_MS / (TTL - 90) / 1000 + 1), `${refreshes} refreshes`);
  const woken = open(sleeper); // with the refresh token of a day ago
  const token = woken.token();
  await clock.advance(1000);
  assert.ok(endOf(await token) > clock.now());
  assert.equal(family.revoked, false);
  for (const tab of tabs) tab.close();
});

test('a refresh that cannot be had is asked for ever more seldom, and the token used as long as it is good', async (t) => {
  const clock = new FakeClock();
  const family = new Family(clock);
  const server = await serve((request, response, body, name) => {
    if (name === 'POST /api/auth/refresh') refuse(response, 503, 'unavailable', { 'Retry-After': '20' });
    else json(response, family.tokens(0), 201);
  });
  t.after(() => server.close());
  const tokens = new Tokens({ url: server.url, clock, fetch: clock.fetch, storage: new MemoryStorage() });
  await tokens.enterAsGuest('Ada');
  await clock.advance((TTL - 30) * 1000);
  assert.ok(await tokens.token());
  await clock.advance(30_000 + 3_600_000 - TTL * 1000);
  await assert.rejects(tokens.token(), { status: 503 });
  const asked = server.count('POST /api/auth/refresh');
  assert.ok(asked > 100 && asked <= 3600 / 20, `${asked} times in an hour`);
  tokens.close();
});

test('a sign-in that has ended is told once, and nobody asks any more', async (t) => {
  const clock = new FakeClock();
  const family = new Family(clock);
  const server = await serve((request, response, body, name) => {
    if (name === 'POST /api/auth/guest') json(response, family.tokens(0), 201);
    else refuse(response, 401, 'token-revoked');
  });
  t.after(() => server.close());
  const chat = new Chatrooms({ url: server.url, clock, fetch: clock.fetch, storage: new MemoryStorage() });
  await chat.account.enterAsGuest('Ada');
  const room = chat.room('lobby');
  let ended = 0;
  chat.addEventListener('signed-out', () => { ended += 1; });
  await clock.advance(3_600_000);
  assert.equal(room.state.state, 'closed');
  assert.equal(room.state.reason, 'signed-out');
  assert.equal(ended, 1);
  assert.equal(server.count('POST /api/auth/refresh'), 1);
  assert.equal(server.count('GET /events'), 1);
  chat.close();
});
