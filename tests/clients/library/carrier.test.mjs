// The carrier of all tabs' streams against a small server: what it asks for, and what it tells the tabs.
import assert from 'node:assert/strict';
import test from 'node:test';

import { Carrier } from '../client/carrier.js';
import { FakeClock, json, serve, stream, until } from './standin.mjs';

/** A carrier that leads, a tab that wants these streams, and the server's connections as they are opened. */
async function scene(t, wishes) {
  const [opened, added, heard] = [[], [], []];
  const server = await serve((request, response, body, name) => {
    if (name !== 'POST /events') {
      added.push([name, body]);
      return json(response, {}, 202);
    }
    return opened.push({ asked: body.subscriptions, send: stream(response, { 'X-Stream-Id': 'the-id' }) });
  });
  const name = `carrier ${server.url}`;
  const tab = new BroadcastChannel(name);
  let beats = 0;
  tab.onmessage = ({ data }) => {
    if (data.t === 'event') heard.push([data.key, data.type, data.id, data.prev]);
    if (data.t === 'beat') beats += 1;
  };
  const clock = new FakeClock();
  const carrier = new Carrier({ name, url: server.url, clock });
  t.after(() => {
    carrier.close();
    tab.close();
    server.close();
  });
  const want = (wish) => tab.postMessage({ t: 'sub', tab: 'a', token: 'mine', position: '', ...wish });
  carrier.lead();
  wishes.forEach(want);
  clock.time += 1000;
  tab.postMessage({ t: 'ping', tab: 'a' });
  await until(() => beats === 2); // it has heard all that was said before
  await clock.advance(0);
  await until(() => opened.length === 1);
  return { opened, added, heard, want };
}

test('streams of all families are asked for over one connection, each with its position', async (t) => {
  const { opened } = await scene(t, [
    { key: '1', roomId: 'lobby', username: 'Ada', history: 20 },
    { key: '2', roomId: 'hall', username: 'Ada', history: 20, position: 'e-7' },
    { key: '3', stream: 'session', sessionId: 's', position: 'e-8' },
    { key: '4', stream: 'task', taskId: '7' },
  ]);
  assert.deepEqual(opened[0].asked, [
    { key: '1', token: 'mine', roomId: 'lobby', username: 'Ada', history: 20 },
    { key: '2', token: 'mine', roomId: 'hall', username: 'Ada', lastEventId: 'e-7' },
    { key: '3', token: 'mine', stream: 'session', sessionId: 's', lastEventId: 'e-8' },
    { key: '4', token: 'mine', stream: 'task', taskId: '7' },
  ]);
});

test('each event is passed on once, with the position before it, whatever the family begins with', async (t) => {
  const { opened: [{ send }], heard } = await scene(t, [
    { key: 'task', stream: 'task', taskId: '7', position: 'e-1' },
    { key: 'reply', stream: 'reply', messageId: 'r' },
  ]);
  send('progress', { progress: 10 }, { id: 'e-3', sub: 'task' });
  send('content', { index: 0 }, { id: '0', sub: 'reply' });
  send('progress', { progress: 20 }, { id: 'e-4', sub: 'task' });
  send('progress', { progress: 20 }, { id: 'e-4', sub: 'of nobody' });
  send('heartbeat', {});
  send('content', { index: 1 }, { id: '1', sub: 'reply' });
  await until(() => heard.length === 4);
  assert.deepEqual(heard, [
    ['task', 'progress', 'e-3', 'e-1'],
    ['reply', 'content', '0', ''],
    ['task', 'progress', 'e-4', 'e-3'],
    ['reply', 'content', '1', '0'],
  ]);
});

test('an end, named or not, ends its own stream only, and there is room for another', async (t) => {
  const { opened: [{ send }], added, heard, want } = await scene(t, [
    { key: 'task', stream: 'task', taskId: '7' },
    { key: 'session', stream: 'session', sessionId: 's' },
    { key: 'mine', stream: 'personal' },
  ]);
  send('closing', { reason: 'ended', reconnect: false }, { sub: 'task' });
  send('progress', {}, { id: 'e-1', sub: 'task' });
  send('message', { type: 'error', error: 'It was replaced.', code: 'replaced', reconnect: false }, { sub: 'session' });
  send('message', { type: 'message', data: {} }, { id: 'e-2', sub: 'session' });
  send('system', {}, { id: 'e-3', sub: 'mine' });
  await until(() => heard.length === 3);
  assert.deepEqual(heard.map(([key, type]) => [key, type]), [['task', 'closing'], ['session', 'closing'], ['mine', 'system']]);
  want({ key: 'more', stream: 'notifications', userId: 'ada' });
  await until(() => added.length === 1);
  const subscription = { key: 'more', token: 'mine', stream: 'notifications', userId: 'ada' };
  assert.deepEqual(added, [['POST /api/streams/the-id/subscriptions', { subscriptions: [subscription] }]]);
});
