import assert from 'node:assert/strict';
import test from 'node:test';

import { CLOCK } from '../client/clock.js';
import { Stream } from '../client/stream.js';
import { MemoryStorage } from './standin.mjs';

/** A stream on a line that writes down what is asked of it, and the texts that the stream gave. */
function scene(position = '') {
  const asked = [];
  const line = { close: () => asked.push('close'), poke: () => {}, again: () => asked.push(`again from ${stream.position}`) };
  const client = { storage: new MemoryStorage(), clock: CLOCK, clientId: 'c', streams: new Set() };
  if (position) client.storage.setItem('chatrooms.position.it', JSON.stringify(position));
  const stream = new Stream(client, { name: 'it', open: () => line });
  stream.open();
  const texts = [];
  stream.addEventListener('room-message', ({ detail }) => texts.push(detail));
  const tell = (type, id, prev) => stream.receive({ type, data: JSON.stringify(id), id, prev });
  return { stream, tell, asked, texts };
}

test('what a carrier passes on is taken in order', () => {
  const { tell, asked, texts, stream } = scene();
  tell('system', '0', '');
  tell('room-message', '1', '0');
  tell('room-message', '2', '1');
  assert.deepEqual([texts, asked, stream.position], [['1', '2'], [], '2']);
});

test('what the carrier passed on elsewhere is asked for from the position here', () => {
  const { tell, asked, texts } = scene();
  tell('system', '0', '');
  tell('room-message', '1', '0');
  tell('room-message', '3', '2');
  assert.deepEqual([texts, asked], [['1'], ['again from 1']]);
  tell('system', '1', '1');
  tell('room-message', '2', '1');
  tell('room-message', '3', '2');
  assert.deepEqual([texts, asked.length], [['1', '2', '3'], 1]);
});

test('a carrier that begins behind tells again what is known, and it is not shown twice', () => {
  const { tell, asked, texts, stream } = scene();
  tell('system', '0', '');
  for (const id of [1, 2, 3]) tell('room-message', String(id), String(id - 1));
  tell('system', '1', '1');
  for (const id of [2, 3, 4]) tell('room-message', String(id), String(id - 1));
  assert.deepEqual([texts, asked, stream.position], [['1', '2', '3', '4'], [], '4']);
});

test('a carrier that begins ahead is sent back', () => {
  const { tell, asked } = scene('5');
  tell('system', '7', '7');
  assert.deepEqual(asked, ['again from 5']);
});

test('a position that cannot be resumed is replaced by where the server begins', () => {
  const { tell, asked, stream } = scene('old-5');
  tell('system', 'new-1', 'old-5');
  assert.deepEqual([asked, stream.position], [[], 'new-1']);
});

test('a stream that was closed gives nothing more, and goes on from where it was', () => {
  const { tell, texts, stream } = scene();
  tell('system', '0', '');
  stream.close();
  tell('room-message', '1', '0');
  assert.deepEqual(texts, []);
  assert.deepEqual(stream.state, { state: 'closed', reason: 'closed' });
  stream.open();
  tell('system', '0', '0');
  tell('room-message', '1', '0');
  assert.deepEqual(texts, ['1']);
});
