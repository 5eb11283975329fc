// A small real server for what the real one cannot be made to do on demand, and a clock that runs when told.
import { createServer } from 'node:http';

/** A server whose `answer(request, response, body)` a test writes; it counts what comes, by "METHOD /path". */
export async function serve(answer) {
  const counts = new Map();
  const server = createServer(async (request, response) => {
    const name = `${request.method} ${request.url.split('?')[0]}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
    let text = '';
    for await (const piece of request) text += piece;
    await answer(request, response, text ? JSON.parse(text) : null, name);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    count: (name) => counts.get(name) ?? 0,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

export function refuse(response, status, code, headers = {}) {
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  response.end(JSON.stringify({ error: `It is ${code}.`, code }));
}

export function json(response, body, status = 200) {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

/** Begins a stream; gives what writes an event to it. */
export function stream(response, headers = {}) {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', ...headers });
  return (type, data, { id, sub, retry } = {}) => {
    const lines = [id && `id: ${id}`, `event: ${type}`, sub && `sub: ${sub}`, retry && `retry: ${retry}`];
    response.write(`${lines.filter(Boolean).join('\n')}\ndata: ${JSON.stringify(data)}\n\n`);
  };
}

/** Time that stands still but for `advance`, and a fetch that says when all is answered. */
export class FakeClock {
  time = 1_700_000_000_000;
  #timers = new Set();
  #pending = 0;
  #held = 0;

  now = () => this.time;
  random = () => 0.5;
  after = (ms, run) => {
    const timer = { at: this.time + ms, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };

  fetch = async (...call) => {
    this.#pending += 1;
    try {
      return await fetch(...call);
    } catch (error) {
      if (this.#held) this.#held -= 1;
      throw error;
    } finally {
      this.#pending -= 1;
    }
  };

  /** The server answers one request no more: do not wait for it. It must end by being aborted. */
  hold() {
    this.#held += 1;
  }

  /** Until whatever was begun has come to an end or to a timer. */
  async settle() {
    for (let quiet = 0; quiet < 30; quiet += 1) {
      await new Promise(setImmediate);
      if (this.#pending > this.#held) quiet = 0;
    }
  }

  /** Lets time pass, timer by timer. */
  async advance(ms) {
    const end = this.time + ms;
    for (;;) {
      await this.settle();
      const next = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.#timers.delete(next);
      this.time = Math.max(this.time, next.at);
      next.run();
    }
    this.time = end;
    await this.settle();
  }
}

/** Resolves when it holds. */
export async function until(holds) {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** A storage of its own, as a tab has. */
export class MemoryStorage {
  #items = new Map();
  getItem = (name) => this.#items.get(name) ?? null;
  setItem = (name, value) => void this.#items.set(name, value);
  removeItem = (name) => void this.#items.delete(name);
}
