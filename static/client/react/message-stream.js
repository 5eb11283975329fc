import React from 'react';
import { useSSE } from './use-sse.js';

const h = React.createElement;

/**
 * The messages of a session as they arrive: the list, the state, the number of reconnection attempts,
 * and a button that clears the list. It has class names but no styles.
 * @param {{sessionId?: string, robotId?: string, onNewMessage?: (message: import('../views/session.js').SessionMessage) => void,
 *   reconnectInterval?: number, maxReconnectAttempts?: number, client?: import('../chatrooms.js').Chatrooms,
 *   className?: string, label?: string}} props
 */
export function MessageStream({ onNewMessage, className = '', label = 'Messages', ...options }) {
  const { connected, messages, error, reconnectAttempts, connect, clearMessages } = useSSE({ ...options, onMessage: onNewMessage });
  return h('section', { className: `message-stream ${className}`.trim(), 'data-connected': connected, 'aria-label': label },
    h('header', { className: 'message-stream-bar' },
      h('span', { className: 'message-stream-state', role: 'status' }, stateText(connected, error)),
      reconnectAttempts > 0 && h('span', { className: 'message-stream-attempts' }, attemptsText(reconnectAttempts)),
      error && h('button', { type: 'button', className: 'message-stream-connect', onClick: connect }, 'Reconnect'),
      h('button', { type: 'button', className: 'message-stream-clear', onClick: clearMessages, disabled: !messages.length }, 'Clear'),
    ),
    h('div', { className: 'message-stream-log', role: 'log', 'aria-label': label, tabIndex: 0 },
      h('ol', { className: 'message-stream-list' }, messages.map((message) => h(Row, { key: message.id, message })))),
    !messages.length && h('p', { className: 'message-stream-empty' }, 'No messages yet.'),
  );
}

const Row = React.memo(
  /** @param {{message: import('../views/session.js').SessionMessage}} props */
  function Row({ message: { content, isFromBot, isHuman, createdAt } }) {
    return h('li', { className: 'message-stream-message', 'data-from': isFromBot ? 'bot' : 'human' },
      h('span', { className: 'message-stream-author' }, isFromBot ? 'Bot' : isHuman ? 'Person' : 'Message'), ' ',
      h('time', { dateTime: createdAt }, new Date(createdAt).toLocaleTimeString()), ' ',
      h('span', { className: 'message-stream-content' }, content));
  },
);

/** @param {boolean} connected @param {string | null} error */
function stateText(connected, error) {
  if (connected) return 'Connected';
  return error ?? 'Connecting…';
}

/** @param {number} attempts */
function attemptsText(attempts) {
  return `${attempts} ${attempts === 1 ? 'try' : 'tries'} to reconnect`;
}
