import React from 'react';
import { NoticesView } from '../views/notices.js';
import { useChatrooms } from './client.js';
import { useEvents, useView } from './view.js';

/** @typedef {import('../chatrooms.js').Chatrooms} Chatrooms */

/**
 * Reloads when a notification says that something changed elsewhere. Own changes are recognised by
 * `sourceClientId`: send the returned `clientId` with them.
 * @param {string | null | undefined} userId without one, no stream is opened
 * @param {any} currentDate passed to `reload`
 * @param {(currentDate: any, notice: import('../views/notices.js').Notice) => void} reload
 * @param {{sessionId?: string, client?: Chatrooms}} [options]
 */
export function useSSEConnection(userId, currentDate, reload, { sessionId, client: given } = {}) {
  const client = useChatrooms(given);
  const view = React.useMemo(
    () => (userId ? new NoticesView(client, String(userId), sessionId) : null),
    [client, userId, sessionId],
  );
  useEvents(view, { changed: (notice) => reload(currentDate, notice) });
  const { connected, reconnectAttempts, error } = useView(view) ?? NOT_CONNECTED;
  return { connected, reconnectAttempts, error, clientId: client.clientId };
}

const NOT_CONNECTED = { connected: false, reconnectAttempts: 0, error: null };
