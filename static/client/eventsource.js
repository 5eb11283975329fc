import { HttpError, request } from './http.js';
import { Queue } from './queue.js';

const TYPES = [
  'message', 'system', 'room-message', 'message-edited', 'message-deleted', 'user-joined', 'user-left', 'presence',
  'typing', 'bot-chunk', 'heartbeat', 'status', 'token-expiring', 'closing', 'room-joined', 'room-left',
  'progress', 'complete', 'content',
];

/**
 * Reads streams by the browser's own EventSource instead of fetch: `new Chatrooms({transport: eventSource()})`.
 * A ticket of one use stands in the address, never the token.
 * @param {string[]} [types] more names of events, as those of notifications: EventSource gives only what it is asked for
 * @returns {import('./line.js').Transport}
 */
export function eventSource(types = []) {
  return async function* open({ signal, heard }, url, call) {
    const base = url.replace(/\/(events|api)([/?].*|$)/, '');
    const { ticket } = await (await request('POST', `${base}/api/auth/ticket`, call)).json();
    const events = new Queue();
    let any = false;
    let last = '';
    const source = new EventSource(`${url}${url.includes('?') ? '&' : '?'}ticket=${encodeURIComponent(ticket)}`);
    source.onerror = () => events.end();
    for (const type of [...TYPES, ...types]) {
      source.addEventListener(type, ({ data, lastEventId }) => {
        heard();
        // It gives the last id with events that have none, too: those that tell nothing new are such.
        events.put({ type, data, lastEventId, id: lastEventId === last ? undefined : lastEventId });
        last = lastEventId;
        any = true;
      });
    }
    signal.addEventListener('abort', () => events.end());
    try {
      for await (const event of events) {
        if (signal.aborted) break;
        yield event;
      }
    } finally {
      source.close();
    }
    if (!any && !signal.aborted) await explain(url, call);
    if (!signal.aborted) throw new HttpError(0, 'network', 'The stream ended.');
  };
}

/** EventSource does not tell why it was refused, a poll does. @param {string} url @param {import('./http.js').Call} call */
async function explain(url, call) {
  const { status } = await request('GET', `${url}&poll=1`, call);
  if (status === 204) throw new HttpError(204, 'complete');
}
