import { request } from './http.js';

/** The server's calls by name, each made as the session's user. */
export class Api {
  #session;

  /** @param {import('./session.js').Session} session */
  constructor(session) {
    this.#session = session;
  }

  /** @returns {Promise<{roomId: string, onlineCount: number}[]>} */
  async rooms() {
    return (await this.json('GET', '/api/rooms')).rooms;
  }

  room(roomId) {
    return this.json('GET', roomPath(roomId));
  }

  /** @param {string} roomId @param {{before?: string, limit?: number}} page */
  history(roomId, { before, limit = 50 } = {}) {
    const query = new URLSearchParams({ limit });
    if (before) query.set('before', before);
    return this.json('GET', `${roomPath(roomId)}/messages?${query}`);
  }

  /** @param {string} roomId @param {{message: string, clientMessageId: string}} body */
  send(roomId, body) {
    return this.json('POST', `${roomPath(roomId)}/messages`, { body });
  }

  edit(roomId, messageId, message) {
    return this.call('PATCH', messagePath(roomId, messageId), { body: { message } });
  }

  remove(roomId, messageId) {
    return this.call('DELETE', messagePath(roomId, messageId));
  }

  typing(roomId, body) {
    return this.call('POST', `${roomPath(roomId)}/typing`, { body });
  }

  leave(roomId, clientId) {
    return this.call('POST', `${roomPath(roomId)}/leave`, { body: { clientId } });
  }

  /** Lets the streams of `clientId` live as long as the present token. */
  extend(clientId) {
    return this.call('POST', '/api/auth/extend', { body: { clientId } });
  }

  /** @returns {Promise<Response>} a text/event-stream */
  ask(body, signal) {
    return this.call('POST', '/api/chat/stream', { body, signal, timeoutMs: 0 });
  }

  /** The rest of a reply after piece number `index`, running or finished. */
  resumeReply(messageId, index, signal) {
    const query = index < 0 ? '' : `?after=${index}`;
    return this.call('GET', `/api/chat/stream/${encodeURIComponent(messageId)}${query}`, { signal, timeoutMs: 0 });
  }

  stopReply(messageId) {
    return this.call('DELETE', `/api/chat/stream/${encodeURIComponent(messageId)}`);
  }

  /** Asks for another reply to the same question; in a room, everybody sees it. */
  async askAgain(messageId) {
    const path = `/api/chat/stream/${encodeURIComponent(messageId)}/regenerate`;
    const response = await this.call('POST', path, { body: {} });
    response.body?.cancel().catch(() => {});
  }

  /** Makes the user a member of the room that the invite is for. @returns {Promise<string>} the room's id */
  async acceptInvite(invite) {
    return (await this.json('POST', '/api/invites/accept', { body: { invite } })).roomId;
  }

  /** @param {string} format 'jsonl' or 'html' @returns {Promise<{task_id: string}>} */
  exportRoom(roomId, format) {
    return this.json('POST', `${roomPath(roomId)}/export`, { body: { format } });
  }

  /** @returns {Promise<Response>} a text/event-stream of the task's states */
  watchTask(taskId, signal) {
    return this.call('GET', `/api/v1/sse/tasks/${encodeURIComponent(taskId)}/progress`, { signal, timeoutMs: 0 });
  }

  cancelTask(taskId) {
    return this.call('PATCH', taskPath(taskId), { body: { state: 'cancelled' } });
  }

  /** An address from which the result of a task can be fetched once. */
  async resultUrl(taskId) {
    const { ticket } = await this.json('POST', '/api/auth/ticket', { body: {} });
    return `${taskPath(taskId)}/result?ticket=${encodeURIComponent(ticket)}`;
  }

  async json(method, path, options) {
    return (await this.call(method, path, options)).json();
  }

  async call(method, path, options = {}) {
    const token = await this.#session.token();
    try {
      return await request(method, path, { ...options, token });
    } catch (error) {
      if (error.status !== 401 || error.code === 'credentials-invalid') throw error;
      await this.#session.refresh();
      return request(method, path, { ...options, token: await this.#session.token() });
    }
  }
}

/** @param {string} roomId */
export function roomPath(roomId) {
  return `/api/rooms/${encodeURIComponent(roomId)}`;
}

function taskPath(taskId) {
  return `/api/v1/tasks/${encodeURIComponent(taskId)}`;
}

function messagePath(roomId, messageId) {
  return `${roomPath(roomId)}/messages/${encodeURIComponent(messageId)}`;
}
