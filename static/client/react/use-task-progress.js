import React from 'react';
import { sharedView } from '../views/clients.js';
import { TaskView } from '../views/task.js';
import { useChatrooms } from './client.js';
import { useView } from './view.js';

/**
 * The progress of a task; `progress` is the task itself, null until the first event.
 * @param {string | null | undefined} taskId without one, no stream is opened
 * @param {string | null} [token] by default that of the page's signed-in user; null or '' waits
 *   for one
 * @returns {{progress: import('../views/task.js').Task | null, isComplete: boolean, error: string | null}}
 */
export function useTaskProgress(taskId, token) {
  const client = useChatrooms();
  const view = React.useMemo(() => {
    if (!taskId || token === null || token === '') return null;
    if (token !== undefined) return new TaskView({ url: client.url, token }, taskId);
    return sharedView(client, JSON.stringify(['task', taskId]), () => new TaskView(client, taskId));
  }, [client, taskId, token]);
  const { task: progress, isComplete, error } = useView(view) ?? NO_TASK;
  return { progress, isComplete, error };
}

const NO_TASK = { task: null, isComplete: false, error: null };
