import assert from 'node:assert/strict';
import test from 'node:test';

import { Chatrooms } from '../client/chatrooms.js';
import '../client/poller.js'; // which is loaded when it is needed: not while the clock is told to run
import { FakeClock, json, MemoryStorage, refuse, serve, stream } from './standin.mjs';

const HOUR_MS = 3_600_000;

/** A room of a server that answers /events as told, for a time; what it says of itself, and how often it asked. */
async function hour(t, answer, ms = HOUR_MS) {
  const clock = new FakeClock();
  const server = await serve((request, response, body, name) => answer(request, response, name, clock));
  t.after(() => server.close());
  const chat = new Chatrooms({ url: server.url, clock, fetch: clock.fetch, storage: new MemoryStorage(), token: 't' });
  const room = chat.room('lobby', { username: 'Ada' });
  const states = [];
  room.addEventListener('state', ({ detail }) => states.push(detail));
  await clock.advance(ms);
  const { state } = room;
  t.after(() => chat.close());
  return { state, states, asked: server.count('GET /events'), room, clock };
}

for (const [status, code] of [[400, 'bad-field'], [403, 'banned'], [404, 'not-found'], [409, 'replaced-too-often']]) {
  test(`${status} closes for good`, async (t) => {
    const { state, asked } = await hour(t, (request, response) => refuse(response, status, code));
    assert.deepEqual(state, { state: 'closed', reason: code });
    assert.equal(asked, 1);
  });
}

test('401 without another token closes for good', async (t) => {
  const { state, asked } = await hour(t, (request, response) => refuse(response, 401, 'token-invalid'));
  assert.deepEqual(state, { state: 'closed', reason: 'signed-out' });
  assert.equal(asked, 1);
});

test('204 says that the stream is complete', async (t) => {
  const { state, asked } = await hour(t, (request, response) => response.writeHead(204).end());
  assert.deepEqual(state, { state: 'closed', reason: 'complete' });
  assert.equal(asked, 1);
});

for (const status of [429, 503]) {
  test(`${status} waits as long as it is told`, async (t) => {
    const { state, asked } = await hour(t, (request, response) => refuse(response, status, 'full', { 'Retry-After': '60' }));
    assert.equal(state.state, 'waiting');
    assert.equal(state.reason, 'full');
    assert.equal(asked, 61);
  });
}

for (const [what, answer] of Object.entries({
  'a 500': (request, response) => refuse(response, 500, 'internal'),
  'a page of something else': (request, response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end('<p>Log in'),
  'a connection that breaks': (request) => request.socket.destroy(),
})) {
  test(`${what} is tried again ever more seldom`, async (t) => {
    const { state, asked } = await hour(t, answer, HOUR_MS / 10);
    assert.equal(state.state, 'waiting');
    assert.ok(asked > 30 && asked < 60, `${asked} in six minutes`);
  });
}

for (const [what, say] of Object.entries({
  'a stream that ends at once': () => {},
  'a stream that refuses softly': (send) => send('closing', { reason: 'full', reconnect: true }, { retry: 1000 }),
  'a stream whose token is always too old': (send) => send('closing', { reason: 'token-expired', reconnect: true }),
})) {
  test(`${what} is no tight loop`, async (t) => {
    const answer = (request, response) => {
      const send = stream(response);
      send('system', { heartbeat: 25, recovered: true }, { id: 'e-1', retry: 1000 });
      say(send);
      response.end();
    };
    const { asked } = await hour(t, answer, 60_000);
    assert.ok(asked > 0 && asked <= 62, `${asked} in a minute`);
  });
}

test('a server that closes for good is not asked again', async (t) => {
  const answer = (request, response) => {
    const send = stream(response);
    send('system', { heartbeat: 25 }, { id: 'e-1' });
    send('closing', { reason: 'kicked', reconnect: false });
    response.end();
  };
  const { state, asked } = await hour(t, answer);
  assert.deepEqual(state, { state: 'closed', reason: 'kicked' });
  assert.equal(asked, 1);
});

test('silence for two and a half heartbeats ends a stream, and the next begins where it was', async (t) => {
  const from = [];
  const answer = (request, response) => {
    from.push(new URL(request.url, 'http://x').searchParams.get('lastEventId'));
    stream(response)('system', { heartbeat: 20, recovered: true }, { id: `e-${from.length}`, retry: 1000 });
  };
  const { states } = await hour(t, answer, 49_000);
  assert.deepEqual(from, [null]);
  assert.equal(states.at(-1).state, 'open');
  const again = await hour(t, answer, 52_000);
  assert.deepEqual(from, [null, null, 'e-2']);
  assert.deepEqual(again.states.map(({ state, reason }) => reason ?? state), ['open', 'silent', 'connecting', 'open']);
});

test('a network that swallows everything is waited for, and not called polled', async (t) => {
  const { state } = await hour(t, (request, response, name, clock) => clock.hold(), 60_000);
  assert.equal(state.state, 'waiting');
  assert.equal(state.reason, 'network');
});

test('a stream that tells no heartbeat may pause for longer than its first byte', async (t) => {
  const answer = (request, response) => stream(response)('progress', { progress: 1 }, { id: 'e-1' });
  const { asked } = await hour(t, answer, 60_000);
  assert.equal(asked, 1);
});

test('what is held back is read by polls, and streamed again when that is possible', async (t) => {
  let holds = true;
  let polls = 0;
  const answer = (request, response, name, clock) => {
    const query = new URL(request.url, 'http://x').searchParams;
    if (query.get('poll')) {
      polls += 1;
      const id = `e-${polls + 1}`;
      json(response, { events: [{ event: 'room-message', id, data: { message: id } }], more: false, lastEventId: id, recovered: true });
    } else if (holds) {
      clock.hold();
    } else {
      const send = stream(response);
      const last = query.get('lastEventId');
      send('system', { heartbeat: 0, recovered: true }, { id: last });
      send('room-message', { message: last }, { id: last }); // again: it must not be shown twice
      send('room-message', { message: 'live' }, { id: 'e-live' });
    }
  };
  const { room, states, clock } = await hour(t, answer, 14_000);
  const texts = [];
  room.addEventListener('room-message', ({ detail }) => texts.push(detail.message));
  assert.deepEqual(states, []);
  await clock.advance(21_000);
  assert.equal(room.state.state, 'polling');
  assert.ok(polls >= 9 && polls <= 11, `${polls} polls in 20 s`);
  holds = false;
  await clock.advance(60_000);
  assert.deepEqual(room.state, { state: 'open', via: 'stream' });
  assert.deepEqual(texts, [...Array.from({ length: polls }, (_, n) => `e-${n + 2}`), 'live']);
  const before = polls;
  await clock.advance(60_000);
  assert.equal(polls, before);
});
