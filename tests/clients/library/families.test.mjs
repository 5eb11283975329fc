// Every family of streams against the real server, whose address and tokens the caller gives.
import assert from 'node:assert/strict';
import test from 'node:test';

import { streamAIResponse } from '../client/ai-response.js';
import { Chatrooms } from '../client/chatrooms.js';
import { SSEClient } from '../client/sse-client.js';
import { MemoryStorage, refuse, serve, stream, until } from './standin.mjs';

const url = process.env.SERVER_URL;

async function guest(name) {
  const chat = new Chatrooms({ url, storage: new MemoryStorage() });
  await chat.account.enterAsGuest(name);
  return chat;
}

test('a room: members, messages, history, leaving', async () => {
  const [ada, bob] = [await guest('Ada'), await guest('Bob')];
  const rooms = [ada.room('garden'), bob.room('garden')];
  const heard = rooms.map(() => []);
  rooms.forEach((room, n) => room.addEventListener('room-message', ({ detail }) => heard[n].push(detail.message)));
  await until(() => rooms.every(({ state }) => state.state === 'open'));
  rooms[0].send('hello');
  await until(() => heard.every(({ length }) => length === 1));
  const { messages } = await rooms[1].history();
  assert.deepEqual(messages.map(({ message, username }) => [message, username]), [['hello', 'Ada']]);
  const left = new Promise((resolve) => rooms[0].addEventListener('user-left', resolve));
  await rooms[1].leave();
  assert.equal((await left).detail.username, 'Bob');
  ada.close();
  bob.close();
});

test('a reply: its text, its parts, and one that is stopped', async () => {
  const ada = await guest('Ada');
  const reply = await ada.streamReply({ message: 'Hello there' });
  const pieces = [];
  const text = await reply.text((piece) => pieces.push(piece));
  assert.ok(text.includes('Hello there'));
  assert.ok(pieces.length >= 5);
  assert.equal(pieces.join(''), text);
  const again = await ada.streamReply({ messageId: reply.messageId });
  assert.equal(await again.text(), text);
  const stopped = await ada.streamReply({ message: 'Tell me more' });
  const types = [];
  for await (const part of stopped) {
    if (!types.length) await stopped.stop();
    types.push(part.type);
  }
  assert.equal(types.at(-1), 'stopped');
  ada.close();
});

test('a reply that is cut off goes on after its last piece', async (t) => {
  const from = [];
  const server = await serve((request, response, body, name) => {
    const piece = (index) => ['content', { type: 'content', text: `${index} `, index, messageId: 'r' }, { id: `${index}` }];
    if (name === 'GET /api/chat/stream/r') from.push(new URL(request.url, 'http://x').searchParams.get('lastEventId'));
    else if (name !== 'POST /api/chat/stream') return refuse(response, 404, 'not-found');
    const send = stream(response, { 'X-Message-Id': 'r' });
    for (const index of from.length ? [1, 2] : [0, 1]) send(...piece(index));
    if (from.length) response.write('data: [DONE]\n\n');
    return setImmediate(() => (from.length ? response.end() : response.destroy()));
  });
  t.after(() => server.close());
  const chat = new Chatrooms({ url: server.url, storage: null, token: 't' });
  const reply = await chat.streamReply({ message: 'Count' });
  assert.equal(await reply.text(), '0 1 2 ');
  assert.deepEqual(from, ['1']);
  assert.equal(chat.streams.size, 0);
  const other = await chat.streamReply({ messageId: 'x' });
  await assert.rejects(other.text(), { status: 404, code: 'not-found' });
});

test('a session: its messages, and where they went on', async () => {
  const ada = await guest('Ada');
  const session = ada.session('s1');
  const heard = [];
  session.addEventListener('message', ({ detail }) => heard.push(detail.content));
  await new Promise((resolve) => session.addEventListener('connected', resolve));
  await ada.sendToSession({ sessionId: 's1', content: 'one', isHuman: true });
  await until(() => heard.length === 1);
  session.close();
  await ada.sendToSession({ sessionId: 's1', content: 'two' });
  session.open();
  await until(() => heard.length === 2);
  assert.deepEqual(heard, ['one', 'two']);
  ada.close();
});

test('a task is watched to its end, and not asked for again', async (t) => {
  const server = await serve((request, response) => {
    const send = stream(response);
    send('progress', { task_id: '7', state: 'running', progress: 40 }, { id: 'e-1' });
    send('complete', { task_id: '7', state: 'completed', progress: 100 }, { id: 'e-2' });
    response.end();
  });
  t.after(() => server.close());
  const task = new Chatrooms({ url: server.url, storage: null, token: 't' }).watchTask('7');
  const progress = [];
  task.addEventListener('progress', ({ detail }) => progress.push(detail.progress));
  const { detail } = await new Promise((resolve) => task.addEventListener('complete', resolve));
  assert.deepEqual([progress, detail.progress], [[40], 100]);
  assert.deepEqual(task.state, { state: 'closed', reason: 'complete' });
  assert.equal(server.count('GET /api/v1/sse/tasks/7/progress'), 1);
});

test('notifications come once, resume, and do not echo', async (t) => {
  const from = [];
  const server = await serve((request, response) => {
    from.push(new URL(request.url, 'http://x').searchParams.get('lastEventId'));
    const send = stream(response);
    send('system', { heartbeat: 25, recovered: true }, { id: 'e-1', retry: 100 });
    send('task_updated', { id: 'e-2', type: 'task_updated', data: { task: 1 } }, { id: 'e-2' });
    if (from.length === 1) return response.end();
    send('task_updated', { id: 'e-x', sourceClientId: chat.clientId, data: {} }, { id: 'e-x' });
    return send('client_updated', { id: 'e-3', type: 'client_updated', data: { client: 2 } }, { id: 'e-3' });
  });
  t.after(() => server.close());
  const chat = new Chatrooms({ url: server.url, storage: null, token: 't' });
  const notifications = chat.notifications('ada', { sessionId: 's' });
  const types = [];
  notifications.addEventListener('event', ({ detail }) => types.push(detail.type));
  await new Promise((resolve) => notifications.addEventListener('client_updated', resolve));
  assert.deepEqual(from, [null, 'e-2']);
  assert.deepEqual(types, ['system', 'task_updated', 'system', 'client_updated']);
  chat.close();
});

test('streamAIResponse resolves to the text, and heeds its signal', async () => {
  const ada = await guest('Ada');
  const token = await ada.tokens.token();
  assert.ok((await streamAIResponse('How are you?', [], { url, token })).includes('How are you?'));
  const aborter = new AbortController();
  const onText = () => aborter.abort();
  await assert.rejects(streamAIResponse('Again', [], { url, token, onText, signal: aborter.signal }), { name: 'AbortError' });
  ada.close();
});

test('SSEClient refreshes its token once, and hears a room', async () => {
  const ada = await guest('Ada');
  let refreshed = 0;
  class Client extends SSEClient {
    getToken() {
      return refreshed ? ada.tokens.token() : 'nonsense';
    }

    refreshToken() {
      refreshed += 1;
    }
  }
  const client = new Client(`${url}/events?roomId=hall&username=Ada`);
  const system = new Promise((resolve) => client.on('system', resolve));
  const message = new Promise((resolve) => client.on('room-message', resolve));
  const ended = client.connect();
  assert.equal((await system).roomId, 'hall');
  await ada.json('POST', '/api/rooms/hall/messages', { body: { message: 'hello' } });
  assert.equal((await message).message, 'hello');
  client.disconnect();
  await ended;
  assert.equal(refreshed, 1);
  ada.close();
});

test('SSEClient gives up after as many reconnects as it may make', async () => {
  const clock = { now: Date.now, random: () => 0.5, after: (ms, run) => (setImmediate(run), () => {}) };
  const client = new SSEClient('http://127.0.0.1:9/events', { maxReconnects: 3, clock });
  let errors = 0;
  client.on('error', () => { errors += 1; });
  const reached = new Promise((resolve) => client.on('max-reconnects-reached', resolve));
  await client.connect();
  assert.deepEqual(await reached, { reconnects: 3 });
  assert.equal(errors, 4);
});
