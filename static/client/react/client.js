import React from 'react';
import { pageClient } from '../views/clients.js';

/** @typedef {import('../chatrooms.js').Chatrooms} Chatrooms */

const ClientContext = React.createContext(/** @type {Chatrooms | null} */ (null));

/**
 * Provides the client for the hooks below it; without one they share the page's.
 * @param {{client: Chatrooms, children?: React.ReactNode}} props
 */
export function ChatroomsProvider({ client, children }) {
  return React.createElement(ClientContext.Provider, { value: client }, children);
}

/** The client that hooks use here. @param {Chatrooms} [client] takes precedence */
export function useChatrooms(client) {
  const provided = React.useContext(ClientContext);
  return client ?? provided ?? pageClient();
}
