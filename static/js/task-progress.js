import { backoff } from './backoff.js';
import { readEvents } from './sse.js';

const TOLD = ['progress', 'complete', 'error'];

/**
 * The states of a task, from the present one to its last, over lost connections: each new one begins
 * with the state as it is then. Throws what the server refuses for good, and when `signal` fires.
 * @param {import('./api.js').Api} api @param {string} taskId @param {AbortSignal} signal
 */
export async function* taskStates(api, taskId, signal) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      for await (const { type, data } of readEvents(await api.watchTask(taskId, signal))) {
        if (!TOLD.includes(type)) continue;
        attempt = 0;
        yield JSON.parse(data);
        if (type !== 'progress') return;
      }
    } catch (error) {
      if (signal.aborted || (error.status && !error.passing)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, backoff(attempt)));
  }
}
