// ?server= says where the server is, when it is not this page's own; ?task= which task to show.
import '../../static/client/elements.js';

const query = new URLSearchParams(location.search);
for (const element of document.querySelectorAll('chat-room, message-stream, task-progress')) {
  if (query.has('server')) element.url = query.get('server');
}
for (const name of ['plum']) if (query.get('theme') === name) document.body.className = name;
if (query.has('name')) document.querySelector('chat-room').username = query.get('name');
if (query.has('task')) document.querySelector('task-progress').taskId = query.get('task');
else document.querySelector('task-progress').hidden = true;
