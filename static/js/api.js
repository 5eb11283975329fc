import { roomPath } from '../client/chatrooms.js';
import { query } from '../client/http.js';

export { roomPath };

/** This page's calls by name, each made as the user of this tab. Streams are the library's own. */
export class Api {
  #client;

  /** @param {import('../client/chatrooms.js').Chatrooms} client */
  constructor(client) {
    this.#client = client;
  }

  /**
   * A page of the rooms that the user may read, in the order of their ids.
   * @param {{after?: string, limit?: number}} [page] `after`: the last id of the previous page
   * @returns {Promise<{rooms: {roomId: string, onlineCount: number, private: boolean, title: string | null}[], hasMore: boolean}>}
   */
  rooms(page = {}) {
    return this.json('GET', `/api/rooms?${query(page)}`);
  }

  room(roomId) {
    return this.json('GET', roomPath(roomId));
  }

  /** Whether a room of that name exists that the user may know about. @param {string} roomId */
  async hasRoom(roomId) {
    try {
      return Boolean(await this.room(roomId));
    } catch (error) {
      if (error.status === 404) return false;
      if (error.status === 403) return true;
      throw error;
    }
  }

  /** Makes the user a member of the invite's room. @returns {Promise<string>} the room's id */
  async acceptInvite(invite) {
    return (await this.json('POST', '/api/invites/accept', { body: { invite } })).roomId;
  }

  /** @param {string} format 'jsonl' or 'html' @returns {Promise<{task_id: string}>} */
  exportRoom(roomId, format) {
    return this.json('POST', `${roomPath(roomId)}/export`, { body: { format } });
  }

  /** The stream of a task, which closes by itself after the task's end. */
  watchTask(taskId) {
    return this.#client.watchTask(taskId);
  }

  cancelTask(taskId) {
    return this.call('PATCH', taskPath(taskId), { body: { state: 'cancelled' } });
  }

  /** An address from which a task's result can be fetched once. */
  async resultUrl(taskId) {
    const { ticket } = await this.json('POST', '/api/auth/ticket', { body: {} });
    return `${taskPath(taskId)}/result?ticket=${encodeURIComponent(ticket)}`;
  }

  json(method, path, options) {
    return this.#client.json(method, path, options);
  }

  call(method, path, options) {
    return this.#client.call(method, path, options);
  }
}

function taskPath(taskId) {
  return `/api/v1/tasks/${encodeURIComponent(taskId)}`;
}
