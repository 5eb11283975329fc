import React from 'react';
import { pageClient } from '../views/clients.js';

/** @typedef {import('../chatrooms.js').Chatrooms} Chatrooms */

const ClientContext = React.createContext(/** @type {Chatrooms | null} */ (null));

/**
 * The client that the hooks below it use; without one they share the page's.
 * @param {{client: Chatrooms, children?: React.ReactNode}} props
 */
export function ChatroomsProvider({ client, children }) {
  return React.createElement(ClientContext.Provider, { value: client }, children);
}

/** The client that hooks use here. @param {Chatrooms} [client] one that was handed in goes before */
export function useChatrooms(client) {
  const provided = React.useContext(ClientContext);
  return client ?? provided ?? pageClient();
}
