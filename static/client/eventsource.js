import { HttpError, request } from './http.js';

const TYPES = [
  'message', 'system', 'room-message', 'message-edited', 'message-deleted', 'user-joined', 'user-left', 'presence',
  'typing', 'bot-chunk', 'heartbeat', 'status', 'token-expiring', 'closing', 'room-joined', 'room-left',
  'progress', 'complete',
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
    /** @type {import('./parser.js').ServerEvent[]} */
    const events = [];
    let failed = false;
    let any = false;
    let wake = () => {};
    const source = new EventSource(`${url}${url.includes('?') ? '&' : '?'}ticket=${encodeURIComponent(ticket)}`);
    source.onerror = () => {
      failed = true;
      wake();
    };
    let last = '';
    for (const type of [...TYPES, ...types]) {
      source.addEventListener(type, ({ data, lastEventId }) => {
        heard();
        // It gives the last id with events that have none, too: those that tell nothing new are such.
        events.push({ type, data, lastEventId, id: lastEventId === last ? undefined : lastEventId });
        last = lastEventId;
        any = true;
        wake();
      });
    }
    signal.addEventListener('abort', () => {
      source.close();
      failed = true;
      wake();
    });
    try {
      while (!signal.aborted) {
        while (events.length) yield /** @type {import('./parser.js').ServerEvent} */ (events.shift());
        if (failed) break;
        await new Promise((resolve) => (wake = () => resolve(null)));
      }
    } finally {
      source.close();
    }
    // It does not tell why it was refused, a poll does.
    if (!any && !signal.aborted && url.startsWith(`${base}/events?`)) await request('GET', `${url}&poll=1`, call);
    if (!signal.aborted) throw new HttpError(0, 'network', 'The stream ended.');
  };
}
