import { Connection } from './connection.js';
import { HttpError, query, request } from './http.js';
import { readEvents } from './parser.js';

/**
 * The events in the response to a request.
 * @param {import('./connection.js').Attempt} attempt
 * @param {string} url
 * @param {import('./http.js').Call} call
 * @param {string} [method]
 * @returns {AsyncGenerator<import('./parser.js').ServerEvent>}
 * @throws {HttpError} when refused; 204 when the stream is over
 */
export async function* fetchEvents({ signal, heard }, url, call, method = 'GET') {
  const headers = { Accept: 'text/event-stream' };
  const response = await request(method, url, { ...call, headers, signal, timeoutMs: 0 });
  if (response.status === 204) throw new HttpError(204, 'complete');
  const type = response.headers.get('Content-Type') ?? '';
  if (!type.startsWith('text/event-stream')) throw new HttpError(0, 'network');
  yield* readEvents(response, ({ retry }) => heard(retry));
}

/**
 * How a stream's own connection is read: with fetch, or as `eventsource.js` does.
 * @typedef {(attempt: import('./connection.js').Attempt, url: string, call: import('./http.js').Call)
 *   => AsyncIterable<import('./parser.js').ServerEvent>} Transport
 */

/**
 * How a stream is read: over the connection that tabs share, else over its own, and by polls if the
 * network blocks both.
 * @param {import('./chatrooms.js').Chatrooms} client
 * @param {import('./link.js').Wish} wish the subscription on a shared connection
 * @param {string} path of the stream on its own
 * @param {Record<string, unknown>} values the query of that path
 * @param {boolean} [share]
 */
export function lines(client, wish, path, values, share = true) {
  /** @param {string} position */
  const from = (position) => `${path}?${query({ ...values, ...(position && { lastEventId: position, history: undefined }) })}`;
  return {
    /** @param {import('./stream.js').Stream} stream */
    open(stream) {
      const alone = () => ownLine(client, stream, from);
      return share && client.tabs ? late(client.tabs.then((tabs) => tabs.join(stream, wish, alone)).catch(alone)) : alone();
    },
    /** @param {string} position */
    poll: (position) => client.json('GET', `${from(position)}&poll=1`),
  };
}

/**
 * A stream's own connection.
 * @param {import('./chatrooms.js').Chatrooms} client
 * @param {import('./stream.js').Stream} stream
 * @param {(position: string) => string} path of the stream from a position on
 * @returns {import('./stream.js').Line}
 */
function ownLine(client, stream, path) {
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
 * A line for a promise of one.
 * @param {Promise<import('./stream.js').Line>} coming
 * @returns {import('./stream.js').Line}
 */
function late(coming) {
  return {
    close: () => coming.then((line) => line.close()),
    poke: () => coming.then((line) => line.poke()),
    again: (refused) => coming.then((line) => line.again(refused)),
  };
}
