// The library as React hooks. They import `react` by that name: a bundler finds it; a page without one
// needs an import map.
export { ChatroomsProvider, useChatrooms } from './react/client.js';
export { MessageStream } from './react/message-stream.js';
export { useRoom } from './react/use-room.js';
export { useSSE } from './react/use-sse.js';
export { useSSEConnection } from './react/use-sse-connection.js';
export { useTaskProgress } from './react/use-task-progress.js';
