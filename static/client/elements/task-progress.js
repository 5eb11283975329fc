import { sharedView } from '../views/clients.js';
import { TaskView } from '../views/task.js';
import { make, template } from './build.js';
import { CONTROLS } from './controls-style.js';
import { reflect, ViewElement } from './element.js';
import { BASE } from './styles.js';

const STYLE = `
:host { padding: 14px 16px; }
.top { display: flex; align-items: baseline; justify-content: space-between; gap: 12px; }
#percent { flex: none; font-weight: 650; font-variant-numeric: tabular-nums; }
#bar { position: relative; height: 8px; margin: 10px 0 8px; overflow: hidden; border-radius: 4px; background: var(--raised); }
#bar::after {
  content: ""; position: absolute; inset: 0; border-radius: inherit; background: var(--accent);
  transform: translateX(calc(var(--value, 0) * 1% - 100%)); transition: transform .25s ease-out;
}
#bar:not([aria-valuenow])::after { width: 30%; animation: wander 1.4s ease-in-out infinite; transition: none; }
:host([state="failed"]) #bar::after { background: var(--danger); }
:host([state="cancelled"]) #bar::after { background: var(--edge); }
.bottom { display: flex; align-items: center; flex-wrap: wrap; gap: 6px 12px; min-height: 24px; }
#word { flex: 1; }
::slotted(a) { color: var(--accent); }
:host([state="failed"]) #word { color: var(--danger); }
:host([state="completed"]) #word { color: var(--accent); font-weight: 550; }
@keyframes wander { from { transform: translateX(-100%); } to { transform: translateX(340%); } }
@media (prefers-reduced-motion: reduce) {
  #bar::after { transition: none; }
  #bar:not([aria-valuenow])::after { width: 100%; opacity: .35; transform: none; animation: none; }
}
@media (forced-colors: active) { #bar { border: 1px solid; } #bar::after { background: Highlight; } }
`;

const WORDS = { pending: 'Waiting to start', running: 'Running', completed: 'Completed', failed: 'Failed', cancelled: 'Cancelled' };

/**
 * `<task-progress task-id>`: a task's title, progress, estimated time and outcome. Fires `progress`,
 * `complete` and `failed` with the task. With `cancellable` it has a button to cancel; its content is
 * shown when the task is complete.
 * @extends {ViewElement<import('../views/task.js').TaskState>}
 */
export class TaskProgress extends ViewElement {
  static attributes = ['task-id', 'label', 'cancellable'];
  static styles = [BASE, CONTROLS, STYLE];
  static template = template(
    make('div', { class: 'top' }, make('h2', { id: 'title', part: 'title' }), make('span', { id: 'percent', part: 'percent', 'aria-hidden': 'true' })),
    make('div', { id: 'bar', part: 'bar', role: 'progressbar', 'aria-labelledby': 'title', 'aria-valuemin': '0', 'aria-valuemax': '100' }),
    make('div', { class: 'bottom quiet' },
      make('span', { id: 'word', part: 'state', role: 'status' }),
      make('span', { id: 'left', part: 'time-left' }),
      make('button', { id: 'cancel', class: 'button small', part: 'cancel', type: 'button', hidden: true }, 'Cancel'),
      make('span', { id: 'done', hidden: true }, make('slot')),
    ),
  );

  constructor() {
    super();
    this.find('cancel').addEventListener('click', () => this.cancel().catch(() => {}));
  }

  /** The task as last reported, or null. */
  get task() {
    return this.view?.get().task ?? null;
  }

  get cancellable() {
    return this.hasAttribute('cancellable');
  }

  set cancellable(value) {
    this.toggleAttribute('cancellable', value);
  }

  /** Requests that the task be cancelled. @throws {import('../http.js').HttpError} */
  async cancel() {
    const { view } = this;
    if (!(view instanceof TaskView)) return;
    const button = /** @type {HTMLButtonElement} */ (this.find('cancel'));
    button.disabled = true;
    try {
      await view.cancel();
    } finally {
      button.disabled = false;
    }
  }

  properties() {
    return ['taskId', 'label', 'cancellable', 'url', 'token'];
  }

  makeView() {
    const id = this.getAttribute('task-id');
    if (!id) return null;
    const { client } = this;
    return sharedView(client, JSON.stringify(['task', id]), () => new TaskView(client, id));
  }

  handlers() {
    return {
      progress: (/** @type {unknown} */ task) => this.fire('progress', task),
      complete: (/** @type {unknown} */ task) => this.fire('complete', task),
      failed: (/** @type {unknown} */ task) => this.fire('failed', task),
    };
  }

  /** @param {import('../views/task.js').TaskState | null} state */
  draw(state) {
    const task = state?.task ?? null;
    const failed = !task && state?.error;
    const word = task?.state ?? (failed ? 'failed' : 'pending');
    this.setAttribute('state', word);
    this.find('title').textContent = this.getAttribute('label') || task?.title || 'Task';
    this.find('word').textContent = state?.error ?? (task ? WORDS[task.state] : 'Connecting…');
    this.#drawBar(task, Boolean(failed));
    this.find('left').textContent = task?.state === 'running' ? timeLeft(task.estimated_time) : '';
    const ended = state?.isComplete || state?.error !== null;
    this.find('cancel').hidden = !task || ended || !this.cancellable;
    this.find('done').hidden = !state?.isComplete;
  }

  /** @param {import('../views/task.js').Task | null} task @param {boolean} failed */
  #drawBar(task, failed) {
    const bar = this.find('bar');
    const known = failed || (task && (task.state !== 'pending' || task.progress > 0));
    const percent = Math.round(task?.progress ?? 0);
    bar.style.setProperty('--value', String(percent));
    if (known) bar.setAttribute('aria-valuenow', String(percent));
    else bar.removeAttribute('aria-valuenow');
    this.find('percent').textContent = known && !failed ? `${percent}%` : '';
  }
}

/** @param {number | null | undefined} seconds */
function timeLeft(seconds) {
  if (seconds === null || seconds === undefined) return '';
  if (seconds < 60) return `about ${Math.max(1, Math.round(seconds))} s left`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `about ${minutes} min left` : `about ${Math.round(minutes / 60)} h left`;
}

reflect(TaskProgress);
