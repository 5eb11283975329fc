const BOM = '\uFEFF';

/**
 * An event of a stream. `id` is that of its own block, absent if the block has none; `lastEventId`
 * is the standard's, which persists. `sub` names the subscription on a shared stream.
 * @typedef {{type: string, data: string, lastEventId: string, id?: string, sub?: string}} ServerEvent
 */

/**
 * Parses an event stream piece by piece, as in WHATWG HTML 9.2.6. Pieces may be cut anywhere, even
 * between \r and \n. `retry` is the last reconnection time in milliseconds, or null.
 */
export class EventStreamParser {
  /** @type {number | null} */
  retry = null;
  lastEventId = '';
  #rest = '';
  #started = false;
  #afterReturn = false;
  #type = '';
  /** @type {string[]} */
  #data = [];
  /** @type {string | undefined} */
  #id;
  /** @type {string | undefined} */
  #sub;

  /**
   * @param {string} text the next piece
   * @returns {ServerEvent[]} the events it completes
   */
  push(text) {
    /** @type {ServerEvent[]} */
    const events = [];
    for (const line of this.#lines(text)) {
      if (line === '') this.#dispatch(events);
      else this.#field(line);
    }
    return events;
  }

  /** @param {string} text */
  #lines(text) {
    if (text === '') return [];
    if (!this.#started && text.startsWith(BOM)) text = text.slice(1);
    this.#started = true;
    if (this.#afterReturn && text.startsWith('\n')) text = text.slice(1);
    this.#afterReturn = text.endsWith('\r');
    const lines = text.split(/\r\n|\n|\r/);
    lines[0] = this.#rest + lines[0]; // the rest is not searched again
    this.#rest = /** @type {string} */ (lines.pop());
    return lines;
  }

  /** @param {string} line */
  #field(line) {
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'data') this.#data.push(value);
    else if (name === 'event') this.#type = value;
    else if (name === 'sub') this.#sub = value;
    else if (name === 'id' && !value.includes('\0')) this.#id = value;
    else if (name === 'retry' && /^[0-9]+$/.test(value)) this.retry = Number(value);
  }

  /** @param {ServerEvent[]} events */
  #dispatch(events) {
    this.lastEventId = this.#id ?? this.lastEventId;
    if (this.#data.length) {
      events.push({
        type: this.#type || 'message',
        data: this.#data.join('\n'),
        lastEventId: this.lastEventId,
        id: this.#id,
        sub: this.#sub,
      });
    }
    this.#type = '';
    this.#data = [];
    this.#id = this.#sub = undefined;
  }
}

/**
 * The events of a response as they arrive. One cut off by the end is dropped, as the standard
 * says. Leaving the loop early cancels the download.
 * @param {Response} response
 * @param {(parser: EventStreamParser) => void} [onPiece] called for each piece that arrives, parsed
 * @returns {AsyncGenerator<ServerEvent>}
 */
export async function* readEvents(response, onPiece) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const parser = new EventStreamParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const events = parser.push(decoder.decode(value, { stream: true }));
      onPiece?.(parser);
      yield* events;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
