import React from 'react';
import { sharedView } from '../views/clients.js';
import { RoomView } from '../views/room.js';
import { useChatrooms } from './client.js';
import { useEvents, useView } from './view.js';

/** @typedef {import('../chatrooms.js').Chatrooms} Chatrooms */

/**
 * A room: its state and its actions.
 * @param {string} roomId
 * @param {{username?: string, history?: number, client?: Chatrooms, onMessage?: (message: any) => void}} [options]
 *   `username`: the guest's name when nobody is signed in; `history`: messages to start with (50);
 *   `onMessage` gets each message of the log once, including the first ones
 */
export function useRoom(roomId, { username, history, client: given, onMessage } = {}) {
  const client = useChatrooms(given);
  const view = React.useMemo(() => {
    const name = JSON.stringify(['room', roomId, username, history]);
    return sharedView(client, name, () => new RoomView(client, roomId, { username, history }));
  }, [client, roomId, username, history]);
  useEvents(view, { message: onMessage });
  const state = useView(view);
  const { send, edit, remove, typing, loadOlder, fillGap, retry, discard, stopReply, askAgain, checkMute, refresh, reconnect, hurry } = view;
  const acts = { send, edit, remove, typing, loadOlder, fillGap, retry, discard, stopReply, askAgain, checkMute, refresh, reconnect, hurry };
  return { ...state, ...acts };
}
