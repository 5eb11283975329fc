import assert from 'node:assert/strict';
import test from 'node:test';

import { request } from '../client/http.js';
import { SSEClient } from '../client/sse-client.js';

/** What a fetch is given, read as a server would read it. */
async function sent(ask) {
  let seen;
  await ask(async (url, init) => {
    seen = new Request('http://127.0.0.1/', { ...init, signal: null, duplex: 'half' });
    return new Response(null, { status: 204 });
  });
  return { type: seen.headers.get('Content-Type'), text: await seen.text() };
}

const post = (body, headers) => sent((fetch) => request('POST', '/', { body, headers, fetch }));

test('an object is sent as JSON, under one Content-Type, however its name is written', async () => {
  const json = { type: 'application/json', text: '{"a":1}' };
  assert.deepEqual(await post({ a: 1 }), json);
  assert.deepEqual(await post({ a: 1 }, { 'content-type': 'application/json' }), json);
  assert.deepEqual(await post([1], { 'Content-Type': 'application/x' }), { type: 'application/x', text: '[1]' });
});

test('what is text, a form or bytes already is sent as it is', async () => {
  const type = 'application/json';
  assert.deepEqual(await post('{"a": 1}', { 'content-type': type }), { type, text: '{"a": 1}' });
  assert.equal((await post(new URLSearchParams({ a: '1' }))).text, 'a=1');
  assert.deepEqual(await post(new Blob(['x'], { type: 'text/x' })), { type: 'text/x', text: 'x' });
  assert.equal((await post(new Uint8Array([65, 66]))).text, 'AB');
  assert.match((await post(Object.assign(new FormData()))).type, /^multipart/);
  assert.deepEqual(await post(undefined), { type: null, text: '' });
});

test('SSEClient sends a text as the JSON that it is, and not its reading of it', async () => {
  const body = '{"id": 12345678901234567890}';
  for (const headers of [{}, { 'content-type': 'application/json' }, new Headers({ 'Content-Type': 'application/json' })]) {
    const client = (fetch) => new SSEClient('/', { method: 'POST', headers, body, fetch }).connect();
    assert.deepEqual(await sent(client), { type: 'application/json', text: body });
  }
});
