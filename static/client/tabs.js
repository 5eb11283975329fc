import { Carrier, lockOf } from './carrier.js';
import { Link } from './link.js';
import { randomId } from './storage.js';

const PING_MS = 100;
const SILENT_MS = 300;
const JITTER_MS = 100; // so that not all steal the lock; starting the worker twice is harmless
const ASLEEP_MS = 90_000; // a hidden page's timers fire once a minute

/**
 * This tab among those of its browser. The one that holds a lock carries the streams of all; without
 * Web Locks a shared worker does. A leader that does not answer for half a second, frozen or hung,
 * is replaced.
 */
export class Tabs {
  /** @type {Map<string, Link>} */
  links = new Map();
  id = randomId();
  /** Resolves once this tab holds the lock that shows the others it is alive. @type {Promise<unknown>} */
  present = Promise.resolve();
  #channel;
  #name;
  #client;
  #locks;
  /** @type {Carrier | null} */
  #carrier = null;
  #resign = () => {};
  #queue = new AbortController();
  #term = 0;
  #heardAt;
  #askedAt = 0;
  #tickedAt;
  #cancelTick = () => {};
  #left = false;
  #closing = new AbortController();

  /** @param {import('./chatrooms.js').Chatrooms} client */
  constructor(client) {
    this.#client = client;
    this.#locks = navigator.locks ?? null;
    const url = new URL(`${client.url}/`, location.href).href.slice(0, -1);
    this.#name = `chatrooms-streams ${url}`;
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#onMessage(data);
    this.#heardAt = this.#tickedAt = client.clock.now();
    if (this.#locks) {
      const { clock, fetch, limits } = client;
      const onDeposed = () => this.#resign();
      this.#carrier = new Carrier({ name: this.#name, url, clock, fetch, limits, locks: this.#locks, onDeposed });
      this.present = new Promise((seen) => {
        this.#locks?.request(lockOf(this.#name, this.id), () => {
          seen(null);
          return new Promise((gone) => this.#closing.signal.addEventListener('abort', gone));
        });
      });
    }
    const { signal } = this.#closing;
    globalThis.addEventListener('pagehide', () => this.#leave(), { signal });
    globalThis.addEventListener('pageshow', () => this.#come(), { signal });
    document.addEventListener('freeze', () => this.#resign(), { signal });
    document.addEventListener('resume', () => this.#wakeUp(), { signal });
    this.#lead();
    this.#tick();
  }

  /** Whether this tab carries the streams of all tabs. */
  get leads() {
    return this.#carrier?.leads ?? false;
  }

  /**
   * @param {import('./stream.js').Stream} stream
   * @param {import('./link.js').Wish} wish
   * @param {() => import('./stream.js').Line} openAlone for a server without shared connections
   */
  join(stream, wish, openAlone) {
    return new Link(this, this.#client, stream, wish, openAlone);
  }

  /** @param {object} message */
  post(message) {
    this.#channel.postMessage({ ...message, tab: this.id });
  }

  /** The page or the network is back. */
  poke() {
    this.post({ t: 'ping', poke: true });
  }

  /** Leaves the group of tabs. */
  close() {
    this.#leave();
    this.#closing.abort();
    this.#carrier?.close();
    this.#channel.close();
  }

  #lead() {
    if (this.#locks) this.#queueUp(this.#locks);
    else this.#startWorker();
  }

  #startWorker() {
    const worker = new SharedWorker(new URL('./worker.js', import.meta.url), { type: 'module', name: this.#name });
    worker.port.start();
  }

  /** Waits for its turn to lead. @param {LockManager} locks */
  #queueUp(locks) {
    this.#queue = new AbortController();
    const { signal } = this.#queue;
    locks.request(this.#name, { signal }, () => this.#hold()).then(
      () => this.#left || this.#queueUp(locks),
      () => signal.aborted || this.#deposed(locks),
    );
  }

  /** @param {LockManager} locks */
  #steal(locks) {
    this.#queue.abort();
    locks.request(this.#name, { steal: true }, () => this.#hold()).then(
      () => this.#left || this.#queueUp(locks),
      () => this.#deposed(locks),
    );
  }

  /** Leads until it resigns, or the lock is stolen. */
  #hold() {
    this.#carrier?.lead();
    return new Promise((resolve) => {
      this.#resign = () => {
        this.#carrier?.stop();
        resolve(null);
      };
    });
  }

  /** @param {LockManager} locks */
  #deposed(locks) {
    this.#carrier?.stop();
    if (!this.#left) this.#queueUp(locks);
  }

  /** Pings the leader, and replaces it if it does not answer. */
  #tick() {
    const now = this.#client.clock.now();
    if (now - this.#tickedAt > ASLEEP_MS) this.#askedAt = 0;
    this.#tickedAt = now;
    if (now - this.#heardAt > PING_MS) {
      this.#askedAt ||= now;
      const jitter = this.#locks ? JITTER_MS * this.#client.clock.random() : 0;
      if (now - this.#askedAt > SILENT_MS + jitter) this.#relieve();
      this.post({ t: 'ping' });
    }
    this.#cancelTick = this.#client.clock.after(PING_MS, () => this.#tick());
  }

  #relieve() {
    this.#askedAt = 0;
    if (this.#carrier?.leads) return; // only this page itself was slow
    if (this.#locks) this.#steal(this.#locks);
    else this.#startWorker();
  }

  /** @param {any} said */
  #onMessage(said) {
    if (said.term === undefined || said.term < this.#term) return;
    this.#term = said.term;
    this.#heardAt = this.#client.clock.now();
    this.#askedAt = 0;
    if (said.t === 'event') this.links.get(said.key)?.receive(said);
    else if (said.t === 'state') for (const key of said.keys) this.links.get(key)?.say(said.state);
    else if (said.t === 'who') this.#announce();
    else if (said.t === 'roll') this.post({ t: 'here', keys: [...this.links.keys()] });
  }

  #announce() {
    for (const link of this.links.values()) link.announce();
  }

  #wakeUp() {
    this.#askedAt = 0;
    this.#heardAt = this.#client.clock.now();
    this.#announce();
  }

  /** The page is going away: another tab takes over at once, without this one's streams. */
  #leave() {
    this.#left = true;
    this.post({ t: 'bye' });
    this.#cancelTick();
    this.#queue.abort();
    this.#resign();
  }

  /** A page restored from the browser's cache resumes. */
  #come() {
    if (!this.#left) return;
    this.#left = false;
    this.#wakeUp();
    this.#lead();
    this.#tick();
  }
}
