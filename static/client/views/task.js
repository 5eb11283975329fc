import { Chatrooms } from '../chatrooms.js';
import { sentence } from './sentences.js';
import { Store } from './store.js';

/**
 * A task, as the server reports it; `progress` in percent, `estimated_time` in seconds.
 * @typedef {{task_id: string, title: string, state: 'pending' | 'running' | 'completed' | 'failed' | 'cancelled',
 *   progress: number, estimated_time: number | null, updated_at: string, error?: string | null}} Task
 *
 * @typedef {object} TaskState
 * @property {Task | null} task null until the first word of it
 * @property {boolean} isComplete
 * @property {string | null} error why it failed or cannot be watched, for a person
 * @property {import('../connection.js').LineState['state']} state of the connection
 */

/** The progress of a task. Fires `progress`, `complete` and `failed`. @extends {Store<TaskState>} */
export class TaskView extends Store {
  #given;
  #taskId;
  /** @type {Chatrooms | null} */
  #client = null;
  /** @type {import('../stream.js').Stream | null} */
  #stream = null;
  #aborter = new AbortController();

  /** @param {Chatrooms | {url?: string, token: string}} client @param {string} taskId */
  constructor(client, taskId) {
    super({ task: null, isComplete: false, error: null, state: 'connecting' });
    this.#given = client;
    this.#taskId = taskId;
  }

  start() {
    const { isComplete, error } = this.get();
    if (isComplete || (error && this.get().task)) return; // it has ended: nothing follows
    this.#aborter = new AbortController();
    const given = this.#given;
    this.#client = given instanceof Chatrooms ? given : new Chatrooms({ ...given, storage: null });
    const stream = (this.#stream = this.#client.watchTask(this.#taskId));
    /** @param {string} type @param {(task: any) => void} handler */
    const on = (type, handler) => {
      const listen = (/** @type {Event} */ event) => handler(/** @type {CustomEvent} */ (event).detail);
      stream.addEventListener(type, listen, { signal: this.#aborter.signal });
    };
    on('progress', (task) => this.#learn('progress', { task }));
    on('complete', (task) => this.#learn('complete', { task, isComplete: true }));
    on('error', (task) => this.#learn('failed', { task, error: task.error ?? ended(task) }));
    on('state', ({ state, reason }) => {
      this.change({ state });
      if (state === 'closed' && reason !== 'complete') this.#learn('failed', { error: sentence(reason) });
    });
  }

  stop() {
    this.#aborter.abort();
    this.#stream?.close();
    if (this.#client !== this.#given) this.#client?.close();
    this.#stream = this.#client = null;
  }

  /** Requests that the task be cancelled. @throws {import('../http.js').HttpError} */
  cancel = async () => {
    const body = { state: 'cancelled' };
    await this.#client?.json('PATCH', `/api/v1/tasks/${encodeURIComponent(this.#taskId)}`, { body });
  };

  /** @param {string} type @param {Partial<TaskState>} part */
  #learn(type, part) {
    this.change(part);
    this.emit(type, part.task ?? null);
  }
}

/** @param {Task} task */
function ended({ state }) {
  return state === 'cancelled' ? 'The task was cancelled.' : 'The task failed.';
}
