import { HttpError, request } from './http.js';
import { Queue } from './queue.js';

const TYPES = [
  'message', 'system', 'room-message', 'message-edited', 'message-deleted', 'user-joined', 'user-left', 'presence',
  'typing', 'bot-chunk', 'heartbeat', 'status', 'token-expiring', 'closing', 'room-joined', 'room-left',
  'progress', 'complete', 'content',
];

/**
 * Reads streams with the browser's EventSource instead of fetch: `new Chatrooms({transport: eventSource()})`.
 * The address holds a single-use ticket, never the token.
 * @param {string[]} [types] further event names, as of notifications: EventSource delivers only names it listens for
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
        // Events without an id carry the last one's: an id that did not change means that there was none.
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

/** EventSource does not say why it was refused; a poll does. @param {string} url @param {import('./http.js').Call} call */
async function explain(url, call) {
  const { status } = await request('GET', `${url}&poll=1`, call);
  if (status === 204) throw new HttpError(204, 'complete');
}
