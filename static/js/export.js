import { toast } from './announcer.js';
import { byId, putText } from './dom.js';
import { inWords } from './spans.js';

const STATES = {
  pending: 'Waiting for its turn…', running: 'Writing the file…', completed: 'Ready to download',
  failed: 'The export failed', cancelled: 'The export was cancelled',
};
const TOLD = ['progress', 'complete', 'error'];
const ENDED = ['completed', 'failed', 'cancelled'];

/** The export of the current room. It continues when the dialog closes. */
export class RoomExport {
  #api;
  #roomId;
  #signal;
  #taskId = null;

  /** @param {{api: import('./api.js').Api, roomId: string, signal: AbortSignal}} options */
  constructor({ api, roomId, signal }) {
    this.#api = api;
    this.#roomId = roomId;
    this.#signal = signal;
    byId('export-form').onsubmit = (event) => this.#begin(event);
    byId('export-cancel').onclick = () => this.#try(() => this.#api.cancelTask(this.#taskId));
    byId('export-download').onclick = () => this.#try(() => this.#download());
    byId('export-again').onclick = () => {
      this.#reset();
      byId('export-format').focus();
    };
    this.#reset();
  }

  #reset() {
    this.#taskId = null;
    byId('export-form').hidden = false;
    byId('export-run').hidden = true;
    byId('export-state').textContent = '';
    putText(byId('export-problem'), '');
  }

  async #begin(event) {
    event.preventDefault();
    const button = event.target.querySelector('[type="submit"]');
    button.disabled = true;
    await this.#try(async () => {
      const { task_id: taskId } = await this.#api.exportRoom(this.#roomId, byId('export-format').value);
      this.#taskId = taskId;
      byId('export-form').hidden = true;
      byId('export-run').hidden = false;
      this.#show({ state: 'pending', progress: 0, estimated_time: null });
      byId('export-cancel').focus();
      this.#follow(taskId);
    });
    button.disabled = false;
  }

  #follow(taskId) {
    const stream = this.#api.watchTask(taskId);
    const current = () => this.#taskId === taskId;
    stream.addEventListener('event', ({ detail: { type, data } }) => TOLD.includes(type) && current() && this.#show(data));
    stream.addEventListener('state', ({ detail: { state, reason } }) => state === 'closed' && current() && this.#onEnd(reason));
    this.#signal.addEventListener('abort', () => stream.close(), { once: true });
  }

  #onEnd(reason) {
    if (this.#signal.aborted) return;
    if (reason !== 'complete') putText(byId('export-problem'), 'The export can no longer be followed here.');
    else if (!byId('room-dialog').open) toast(`Export: ${byId('export-state').textContent}`);
  }

  #show({ state, progress, estimated_time: left, error }) {
    const text = STATES[state];
    const numbers = state === 'running' ? inNumbers(progress, left) : '';
    // Screen readers read its changes; they skip the numbers, of which there are too many.
    if (byId('export-state').textContent !== text) byId('export-state').textContent = text;
    byId('export-left').textContent = numbers;
    putText(byId('export-problem'), state === 'failed' ? error : '');
    this.#draw(state, progress, numbers || text);
    this.#offer(state);
  }

  #draw(state, progress, words) {
    const bar = byId('export-bar');
    bar.dataset.state = state;
    bar.style.setProperty('--done', progress);
    if (state === 'pending') bar.removeAttribute('aria-valuenow');
    else bar.setAttribute('aria-valuenow', Math.floor(progress));
    bar.setAttribute('aria-valuetext', words);
  }

  #offer(state) {
    const ended = ENDED.includes(state);
    const hadFocus = document.activeElement === byId('export-cancel');
    byId('export-cancel').hidden = ended;
    byId('export-download').hidden = state !== 'completed';
    byId('export-again').hidden = !ended;
    if (ended && hadFocus) byId(state === 'completed' ? 'export-download' : 'export-again').focus();
  }

  /** Uses a ticket, so that no token appears in the list of downloads. */
  async #download() {
    const link = document.createElement('a');
    link.href = await this.#api.resultUrl(this.#taskId);
    link.download = '';
    link.click();
  }

  async #try(act) {
    putText(byId('export-problem'), '');
    try {
      await act();
    } catch (error) {
      putText(byId('export-problem'), error.message);
    }
  }
}

function inNumbers(progress, left) {
  const done = `${Math.floor(progress)}%`;
  return left === null ? done : `${done} · about ${inWords(Math.max(1, Math.round(left)))} left`;
}
