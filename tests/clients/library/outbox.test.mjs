import assert from 'node:assert/strict';
import test from 'node:test';

import { Chatrooms } from '../client/chatrooms.js';
import { FakeClock, json, MemoryStorage, refuse, serve } from './standin.mjs';

/** A server that takes messages unless `trouble` answers; every third answer of it gets lost. */
async function scene(t, trouble) {
  let taken = 0;
  const clock = new FakeClock();
  const log = new Map();
  const server = await serve((request, response, body, name) => {
    if (!name.endsWith('/messages')) return refuse(response, 404, 'not-found');
    if (trouble(response, body)) return undefined;
    const known = log.has(body.clientMessageId);
    if (!known) log.set(body.clientMessageId, body.message);
    if (++taken % 3 === 0) return response.socket.destroy();
    return json(response, { id: `e-${log.size}`, ...body }, known ? 200 : 201);
  });
  t.after(() => server.close());
  const storage = new MemoryStorage();
  const open = () => new Chatrooms({ url: server.url, clock, fetch: clock.fetch, storage, token: 't' }).room('lobby', { username: 'Ada' });
  return { clock, open, server, texts: () => [...log.values()] };
}

test('messages of an offline time arrive once and in order', async (t) => {
  let down = true;
  const { clock, open, texts } = await scene(t, (response) => {
    if (down) response.socket.destroy();
    return down;
  });
  const room = open();
  const sent = [];
  room.addEventListener('sent', ({ detail }) => sent.push(detail.draft.message));
  for (let number = 0; number < 5; number += 1) room.send(String(number));
  await clock.advance(30_000);
  assert.deepEqual(texts(), []);
  assert.equal(room.outbox.waiting.length, 5);
  down = false;
  await clock.advance(30_000);
  assert.deepEqual(texts(), ['0', '1', '2', '3', '4']);
  assert.deepEqual(sent, ['0', '1', '2', '3', '4']);
});

test('what waited when the page was left is sent by the next one', async (t) => {
  let down = true;
  const { clock, open, texts } = await scene(t, (response) => {
    if (down) refuse(response, 503, 'unavailable', { 'Retry-After': '1' });
    return down;
  });
  const before = open();
  before.send('one');
  before.send('two');
  await clock.advance(100);
  before.close();
  down = false;
  const after = open();
  assert.deepEqual(after.outbox.waiting.map(({ message }) => message), ['one', 'two']);
  await clock.advance(5000);
  assert.deepEqual(texts(), ['one', 'two']);
});

test('a message that is refused fails alone, and one over the rate waits', async (t) => {
  let limited = true;
  const { clock, open, server, texts } = await scene(t, (response, { message }) => {
    if (message === 'bad') refuse(response, 400, 'bad-field');
    else if (message === 'fast' && limited) refuse(response, 429, 'rate-limited', { 'Retry-After': '30' });
    else return false;
    return true;
  });
  const room = open();
  const failed = [];
  room.addEventListener('failed', ({ detail }) => failed.push([detail.draft.message, detail.error.code]));
  for (const text of ['bad', 'fast', 'last']) room.send(text);
  await clock.advance(29_000);
  for (let poke = 0; poke < 50; poke += 1) room.poke();
  await clock.advance(500);
  assert.deepEqual(failed, [['bad', 'bad-field']]);
  assert.equal(server.count('POST /api/rooms/lobby/messages'), 2);
  limited = false;
  await clock.advance(5000);
  assert.deepEqual(texts(), ['fast', 'last']);
});
