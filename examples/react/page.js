// A room in React. ?server= says where the server is, when it is not this page's own.
import React from 'react';
import { createRoot } from 'react-dom/client';
import { Chatrooms } from '../../static/client/chatrooms.js';
import { ChatroomsProvider, useRoom } from '../../static/client/react.js';

const h = React.createElement;
const query = new URLSearchParams(location.search);
const client = new Chatrooms({ url: query.get('server') ?? '' });

function Room({ roomId, username }) {
  const { state, error, messages, onlineCount, typingUsers, send, typing } = useRoom(roomId, { username });
  const [text, setText] = React.useState('');
  const log = React.useRef(null);
  React.useEffect(() => { log.current.scrollTop = log.current.scrollHeight; }, [messages.length]);
  const submit = (event) => {
    event.preventDefault();
    if (send(text)) setText('');
  };
  const type = (event) => {
    setText(event.target.value);
    typing();
  };
  return h(React.Fragment, null,
    h('h1', null, roomId),
    h('p', { role: 'status' }, error ?? (state === 'open' ? `${onlineCount} online` : 'Connecting…')),
    h('div', { ref: log, className: 'log', role: 'log', tabIndex: 0 },
      h('ol', null, messages.map((message) => h(Message, { key: message.key, message })))),
    h('p', null, typingUsers.length ? `${typingUsers.join(', ')} typing…` : ' '),
    h('form', { onSubmit: submit },
      h('input', { value: text, onChange: type, 'aria-label': 'Message' }),
      h('button', null, 'Send')));
}

// A message that has not changed is the same object.
const Message = React.memo(({ message: { state, username, message, error } }) =>
  h('li', { 'data-state': state }, h('strong', null, username), ' ', message, error && ` (${error})`));

createRoot(document.getElementById('root')).render(
  h(React.StrictMode, null,
    h(ChatroomsProvider, { client },
      h(Room, { roomId: query.get('room') ?? 'lobby', username: query.get('name') ?? 'Ada' }))),
);
