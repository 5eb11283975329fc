import React from 'react';
import { SessionView } from '../views/session.js';
import { useChatrooms } from './client.js';
import { useEvents, useView } from './view.js';

/** @typedef {import('../chatrooms.js').Chatrooms} Chatrooms */

/**
 * The messages of a session, or, without `sessionId`, of all that the user may read.
 * @param {object} [options]
 * @param {string} [options.sessionId]
 * @param {string} [options.robotId] only this robot's messages
 * @param {number} [options.reconnectInterval] minimum milliseconds between two attempts (3000)
 * @param {number} [options.maxReconnectAttempts] attempts in a row before giving up (10)
 * @param {(message: import('../views/session.js').SessionMessage) => void} [options.onMessage]
 * @param {() => void} [options.onConnected]
 * @param {() => void} [options.onDisconnected]
 * @param {(error: string) => void} [options.onError] with a sentence for a person
 * @param {Chatrooms} [options.client]
 */
export function useSSE(options = {}) {
  const { sessionId, robotId, reconnectInterval, maxReconnectAttempts } = options;
  const client = useChatrooms(options.client);
  const view = React.useMemo(
    () => new SessionView(client, { sessionId, robotId, reconnectInterval, maxReconnectAttempts }),
    [client, sessionId, robotId, reconnectInterval, maxReconnectAttempts],
  );
  const { onMessage, onConnected, onDisconnected, onError } = options;
  useEvents(view, { message: onMessage, connected: onConnected, disconnected: onDisconnected, error: onError });
  const { connected, messages, error, reconnectAttempts } = useView(view);
  const { connect, disconnect, clear: clearMessages } = view;
  return { connected, messages, error, reconnectAttempts, connect, disconnect, clearMessages };
}
