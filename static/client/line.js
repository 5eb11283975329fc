import { Connection } from './connection.js';
import { HttpError, request } from './http.js';
import { readEvents } from './parser.js';

/**
 * The events that a request is answered with.
 * @param {import('./connection.js').Attempt} attempt
 * @param {string} method
 * @param {string} url
 * @param {import('./http.js').Call} call
 * @returns {AsyncGenerator<import('./parser.js').ServerEvent>}
 * @throws {HttpError} when it is refused; 204 when the stream is over
 */
export async function* fetchEvents({ signal, heard }, method, url, call) {
  const headers = { Accept: 'text/event-stream' };
  const response = await request(method, url, { ...call, headers, signal, timeoutMs: 0 });
  if (response.status === 204) throw new HttpError(204, 'complete');
  const type = response.headers.get('Content-Type') ?? '';
  if (!type.startsWith('text/event-stream')) throw new HttpError(0, 'network');
  yield* readEvents(response, ({ retry }) => heard(retry));
}

/**
 * How a stream's own connection is read: by fetch, or as `eventsource.js` does.
 * @typedef {(attempt: import('./connection.js').Attempt, url: string, call: import('./http.js').Call)
 *   => AsyncIterable<import('./parser.js').ServerEvent>} Transport
 */

/** @type {Transport} */
export function byFetch(attempt, url, call) {
  return fetchEvents(attempt, 'GET', url, call);
}

/**
 * A stream's own connection.
 * @param {import('./chatrooms.js').Chatrooms} client
 * @param {import('./stream.js').Stream} stream
 * @param {(position: string) => string} path of the stream from a position on
 * @returns {import('./stream.js').Line}
 */
export function ownLine(client, stream, path) {
  /** @type {string | null | undefined} */
  let used;
  let renew = false;
  const connection = new Connection({
    ...client.limits,
    clock: client.clock,
    onEvent: (event) => stream.receive(event),
    onState: (state) => stream.say(state),
    async *open(attempt) {
      used = await client.tokens.token(attempt.refused || renew ? (used ?? undefined) : undefined);
      renew = false;
      const call = { token: used, fetch: client.fetch, clock: client.clock };
      yield* client.transport(attempt, client.url + path(stream.position), call);
    },
  });
  return {
    close: () => connection.close(),
    poke: () => connection.poke(),
    again(refused) {
      renew = refused;
      connection.restart();
    },
  };
}

/**
 * A line that is still to come.
 * @param {Promise<import('./stream.js').Line>} coming
 * @returns {import('./stream.js').Line}
 */
export function late(coming) {
  /** @type {import('./stream.js').Line | null} */
  let line = null;
  let closed = false;
  coming.then((come) => {
    line = come;
    if (closed) line.close();
  });
  return {
    close() {
      closed = true;
      line?.close();
    },
    poke: () => line?.poke(),
    again: (refused) => line?.again(refused),
  };
}
