import assert from 'node:assert/strict';
import test from 'node:test';

import { Chatrooms } from '../client/chatrooms.js';
import { RoomView } from '../client/views/room.js';
import { json, refuse, serve, stream, until } from './standin.mjs';

const said = (number) => ({ id: `e-${number}`, roomId: 'lobby', userId: '7', username: 'Ada', message: `${number}`, timestamp: number });
const system = (recovered) => ({ recovered, heartbeat: 0, onlineCount: 1, members: [] });
const texts = (view) => view.get().messages.map(({ message }) => message);

/** A view of a room whose stream is in the test's hand, and what is asked of its history. */
async function scene(t, answerHistory) {
  const streams = [];
  const server = await serve((request, response, body, name) => {
    if (name === 'GET /events') streams.push({ send: stream(response), end: () => response.end() });
    else answerHistory(request, response);
  });
  const chat = new Chatrooms({ url: server.url, token: 't', storage: null, share: false });
  const view = new RoomView(chat, 'lobby', { username: 'Ada', history: 3 });
  view.start();
  t.after(() => {
    view.stop();
    chat.close();
    server.close();
  });
  await until(() => streams.length === 1);
  return { view, streams };
}

test('a room that cannot be read anew begins with what comes, and is not joined to what was', async (t) => {
  let down = true;
  const { view, streams } = await scene(t, (request, response) => {
    if (down) return refuse(response, 500, 'broken');
    const before = new URL(request.url, 'http://x').searchParams.get('before');
    assert.equal(before, 'e-9');
    json(response, { messages: [said(1), said(2), said(3)], hasMore: false });
  });
  streams[0].send('system', system(true), { id: 'e-0', retry: 100 });
  streams[0].send('room-message', said(1), { id: 'e-1' });
  await until(() => view.get().messages.length === 1);
  streams[0].end();
  await until(() => streams.length === 2);
  streams[1].send('system', system(false), { id: 'e-8' });
  streams[1].send('room-message', said(9), { id: 'e-9' });
  await until(() => texts(view).includes('9'));
  assert.deepEqual([texts(view), view.get().hasOlder], [['9'], true]);
  down = false;
  await view.loadOlder();
  assert.deepEqual([texts(view), view.get().hasOlder], [['1', '2', '3', '9'], false]);
});

test('older messages that come after a new beginning are not put in front of it', async (t) => {
  let older;
  const { view, streams } = await scene(t, (request, response) => {
    if (request.url.includes('before=')) older = response;
    else json(response, { messages: [said(9)], hasMore: true });
  });
  streams[0].send('system', system(true), { id: 'e-0', retry: 100 });
  streams[0].send('room-message', said(3), { id: 'e-3' });
  await until(() => view.get().messages.length === 1);
  const loading = view.loadOlder();
  await until(() => older);
  streams[0].end();
  await until(() => streams.length === 2);
  streams[1].send('system', system(false), { id: 'e-9' });
  await until(() => texts(view).includes('9'));
  json(older, { messages: [said(1), said(2)], hasMore: false });
  await loading;
  assert.deepEqual([texts(view), view.get().hasOlder], [['9'], true]);
});

test('who joins as a guest is told apart', async (t) => {
  const { view, streams } = await scene(t, (request, response) => json(response, {}));
  streams[0].send('system', system(true), { id: 'e-0' });
  streams[0].send('user-joined', { userId: '8', username: 'Bob', guest: true, onlineCount: 2 });
  await until(() => view.get().members.length === 1);
  assert.deepEqual(view.get().members, [{ userId: '8', username: 'Bob', guest: true }]);
});

test('what is missing is a gap among the entries until it is closed, and each message is told once', async (t) => {
  let down = true;
  const { view, streams } = await scene(t, (request, response) => {
    if (down) refuse(response, 404, 'gone');
    else json(response, { messages: [said(2), said(5), said(9)], hasMore: true });
  });
  const told = [];
  view.addEventListener('message', ({ detail }) => told.push(detail.message));
  streams[0].send('system', system(true), { id: 'e-0', retry: 100 });
  streams[0].send('room-message', said(1), { id: 'e-1' });
  await until(() => told.length === 1);
  streams[0].end();
  await until(() => streams.length === 2);
  streams[1].send('system', system(false), { id: 'e-8' });
  streams[1].send('room-message', said(9), { id: 'e-9' });
  await until(() => texts(view).includes('9'));
  assert.deepEqual(view.get().entries.map(({ kind }) => kind), ['message', 'gap', 'message']);
  streams[1].send('room-message', said(10), { id: 'e-10' });
  await until(() => texts(view).includes('10'));
  down = false;
  view.fillGap();
  await until(() => view.get().entries.every(({ kind }) => kind === 'message'));
  assert.deepEqual(texts(view), ['2', '5', '9', '10']);
  assert.deepEqual(told, ['1', '9', '10']);
});

test('comings and goings are entries, many in a row one; they are no messages', async (t) => {
  const { view, streams } = await scene(t, (request, response) => json(response, {}));
  const bob = { userId: '8', username: 'Bob', timestamp: 5 };
  streams[0].send('system', system(true), { id: 'e-0' });
  streams[0].send('user-joined', { ...bob, onlineCount: 2 });
  streams[0].send('user-left', { ...bob, onlineCount: 1 });
  streams[0].send('room-message', said(1), { id: 'e-1' });
  await until(() => texts(view).length === 1);
  const [notice] = view.get().entries;
  assert.deepEqual(notice.people.map(({ what }) => what), ['joined', 'left']);
  assert.deepEqual(texts(view), ['1']);
});

test('slow mode counts from a message, and from a refusal; moderators need not wait', async (t) => {
  const rules = { title: null, private: false, slowMode: 30, role: 'none' };
  const { view, streams } = await scene(t, (request, response) => {
    if (request.method === 'GET') json(response, rules);
    else json(response, { id: 'e-9', timestamp: 9 });
  });
  streams[0].send('system', system(true), { id: 'e-0' });
  await until(() => view.get().room);
  assert.equal(view.get().pausedUntil, 0);
  view.send('one');
  assert.ok(view.get().pausedUntil > Date.now() + 25_000);
  rules.role = 'moderator';
  await view.refresh();
  const { moderates, pausedUntil } = view.get();
  view.send('two');
  assert.deepEqual([moderates, view.get().pausedUntil], [true, pausedUntil]);
});
