// The library as custom elements: importing this defines them.
import { ChatRoom } from './elements/chat-room.js';
import { MessageStream } from './elements/message-stream.js';
import { TaskProgress } from './elements/task-progress.js';

export { ChatRoom, MessageStream, TaskProgress };
export { pageClient } from './views/clients.js';

for (const [name, type] of Object.entries({ 'chat-room': ChatRoom, 'message-stream': MessageStream, 'task-progress': TaskProgress })) {
  if (!customElements.get(name)) customElements.define(name, type);
}
