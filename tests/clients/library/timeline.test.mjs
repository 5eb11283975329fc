// What a room shows: order, keys, what is replaced by what.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Timeline } from '../client/views/timeline.js';

const message = (id, more = {}) => ({ id, userId: 'bob', username: 'Bob', message: `text ${id}`, timestamp: 1, ...more });
const texts = (timeline) => timeline.messages.map((entry) => entry.message);

function timelineOf(...messages) {
  const timeline = new Timeline();
  timeline.userId = 'ada';
  timeline.reset(messages);
  return timeline;
}

test('an own message is shown at once and keeps its key', () => {
  const timeline = timelineOf();
  timeline.queue({ clientMessageId: 'c', message: 'hello', sentAt: 5 }, 'Ada');
  const states = [timeline.messages[0]];
  timeline.changeQueued('c', { state: 'sent', id: '1-1' });
  states.push(timeline.messages[0]);
  timeline.add(message('1-0'));
  timeline.add(message('1-1', { userId: 'ada', message: 'hello', clientMessageId: 'c' }));
  states.push(timeline.messages[1]);
  assert.deepEqual(states.map(({ state }) => state), ['sending', 'sent', 'confirmed']);
  assert.deepEqual(new Set(states.map(({ key }) => key)), new Set(['c']));
  assert.equal(timeline.messages.length, 2);
});

test("another's clientMessageId takes nothing of one's own", () => {
  const timeline = timelineOf();
  timeline.queue({ clientMessageId: 'c', message: 'mine', sentAt: 5 }, 'Ada');
  timeline.add(message('1-1', { clientMessageId: 'c' }));
  assert.deepEqual(texts(timeline), ['text 1-1', 'mine']);
});

test('what has not changed is the same object', () => {
  const timeline = timelineOf(message('1-1'), message('1-2'));
  const [first, second] = timeline.messages;
  timeline.edit({ messageId: '1-2', message: 'changed', timestamp: 9 });
  assert.equal(timeline.messages[0], first);
  assert.notEqual(timeline.messages[1], second);
  assert.equal(second.message, 'text 1-2');
  assert.equal(timeline.messages[1].editedAt, 9);
});

test('pieces of a reply in order, once, and then its message in their place', () => {
  const timeline = timelineOf();
  const piece = (chunk, index, more) => timeline.chunk({ messageId: 'r', chunk, index, ...more });
  piece('Hel', 0);
  piece('Hel', 0);
  piece('lo', 2);
  assert.deepEqual(texts(timeline), ['Hello']);
  piece('Hello the', 3, { reset: true });
  piece('re', 4);
  assert.equal(timeline.messages[0].state, 'streaming');
  piece('', 5, { isFinal: true });
  timeline.add(message('1-9', { isFromBot: true, messageId: 'r', message: 'Hello there' }));
  piece('re', 4);
  assert.deepEqual(texts(timeline), ['Hello there']);
  assert.deepEqual([timeline.messages[0].key, timeline.messages[0].id], ['r', '1-9']);
});

test('a refused reply stays without a message, and deletions find what was only sent', () => {
  const timeline = timelineOf();
  timeline.chunk({ messageId: 'r', chunk: '(too many)', index: 0, isFinal: true, state: 'error' });
  timeline.queue({ clientMessageId: 'c', message: 'oops', sentAt: 5 }, 'Ada');
  timeline.changeQueued('c', { state: 'sent', id: '1-2' });
  timeline.remove('1-2');
  assert.deepEqual(texts(timeline), ['(too many)']);
  assert.equal(timeline.messages[0].replyState, 'error');
});

test('the oldest are dropped beyond a bound, and can be fetched again', () => {
  const timeline = timelineOf();
  for (let n = 0; n < 1003; n += 1) timeline.add(message(`1-${n}`));
  assert.deepEqual([timeline.messages.length, timeline.oldestId, timeline.trimmed], [1000, '1-3', true]);
  timeline.prepend([message('1-1'), message('1-2'), message('1-3')]);
  assert.deepEqual(timeline.messages.slice(0, 4).map(({ id }) => id), ['1-1', '1-2', '1-3', '1-4']);
});

test('nothing is dropped while somebody reads far back', () => {
  const timeline = timelineOf();
  timeline.readBack = true;
  for (let n = 0; n < 1003; n += 1) timeline.add(message(`1-${n}`));
  assert.equal(timeline.messages.length, 1003);
  timeline.readBack = false;
  assert.deepEqual([timeline.trim(), timeline.messages.length], [true, 1000]);
});

test('a reply is known by whose question it answers', () => {
  const timeline = timelineOf(message('1-1', { message: '@ai hello' }), message('1-2', { userId: 'ada', message: '@ai me, too' }));
  timeline.chunk({ messageId: 'r', chunk: 'Hi', index: 0, state: 'queued', position: 3 });
  timeline.chunk({ messageId: 's', chunk: 'Hi', index: 0 });
  timeline.add(message('1-3', { isFromBot: true, messageId: 'r' }));
  const replies = timeline.messages.filter(({ isFromBot }) => isFromBot);
  assert.deepEqual(replies.map(({ messageId, askedBy, place }) => [messageId, askedBy, place]), [['r', 'bob', undefined], ['s', 'ada', 0]]);
});

test('older messages fill the gap that is shown', () => {
  const timeline = timelineOf(message('1-1'));
  timeline.openGap();
  timeline.add(message('1-8'));
  assert.deepEqual([texts(timeline), timeline.oldestId, timeline.hasGap], [['text 1-8'], '1-8', true]);
  timeline.prepend([message('1-6'), message('1-7')]);
  assert.deepEqual([texts(timeline), timeline.hasGap], [['text 1-6', 'text 1-7', 'text 1-8'], false]);
});
