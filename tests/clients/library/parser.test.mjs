import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { EventStreamParser } from '../client/parser.js';
import { FEEDINGS, parse } from './feedings.mjs';

const { cases } = JSON.parse(readFileSync(process.env.WPT_CASES, 'utf8'));

for (const { name, bytes_in_b64: base64, expected_events: expected, ...more } of cases) {
  for (const [feeding, cut] of Object.entries(FEEDINGS)) {
    test(`${name}, ${feeding}`, async () => {
      const { events, retry, lastEventId } = await parse(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)), cut);
      assert.deepEqual(events, expected);
      if ('retry_ms' in more) assert.equal(retry, more.retry_ms);
      if ('lastEventId_on_reconnect' in more) assert.equal(lastEventId, more.lastEventId_on_reconnect);
    });
  }
}

test('an event knows its own id and its subscription', () => {
  const events = new EventStreamParser().push('id: 1\nsub: a\ndata: x\n\nsub: b\ndata: y\n\ndata: z\n\n');
  assert.deepEqual(events.map(({ id, sub, lastEventId }) => [id, sub, lastEventId]), [
    ['1', 'a', '1'],
    [undefined, 'b', '1'],
    [undefined, undefined, '1'],
  ]);
});

test('a line that comes in many pieces is put together, and not searched anew with each', () => {
  const parser = new EventStreamParser();
  const piece = 'x'.repeat(1000);
  parser.push('data: ');
  for (let number = 0; number < 20_000; number += 1) parser.push(piece); // minutes, when each searches all before it
  assert.equal(parser.push('\n\n')[0].data.length, 20_000_000);
});
