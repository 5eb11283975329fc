const BOM = '\uFEFF';

/**
 * @typedef {{type: string, data: string, lastEventId: string}} ServerEvent
 */

/**
 * Parses an event stream piece by piece, by the rules of the WHATWG HTML standard, section
 * "Interpreting an event stream". Pieces may be cut anywhere, also between \r and \n.
 */
export class EventStreamParser {
  #rest = '';
  #started = false;
  #afterReturn = false;
  #type = '';
  #data = [];
  #lastEventId = '';

  /**
   * @param {string} text the next piece
   * @returns {ServerEvent[]} the events it completes
   */
  push(text) {
    const events = [];
    for (const line of this.#lines(text)) {
      if (line === '') this.#dispatch(events);
      else this.#field(line);
    }
    return events;
  }

  #lines(text) {
    if (text === '') return [];
    if (!this.#started && text.startsWith(BOM)) text = text.slice(1);
    this.#started = true;
    if (this.#afterReturn && text.startsWith('\n')) text = text.slice(1);
    this.#afterReturn = text.endsWith('\r');
    const lines = (this.#rest + text).split(/\r\n|\n|\r/);
    this.#rest = lines.pop();
    return lines;
  }

  #field(line) {
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'data') this.#data.push(value);
    else if (name === 'event') this.#type = value;
    else if (name === 'id' && !value.includes('\0')) this.#lastEventId = value;
  }

  #dispatch(events) {
    if (this.#data.length) {
      events.push({ type: this.#type || 'message', data: this.#data.join('\n'), lastEventId: this.#lastEventId });
    }
    this.#type = '';
    this.#data = [];
  }
}

/**
 * The events of a fetched stream as they arrive. An event that the end cuts off is dropped, as the
 * standard says. Leaving the loop early cancels the download.
 * @param {Response} response
 * @returns {AsyncGenerator<ServerEvent>}
 */
export async function* readEvents(response) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const parser = new EventStreamParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
