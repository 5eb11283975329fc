// What useChat does, without a page: the AI SDK's own transport and its reader of UI messages.
// Prints each state of the message as a line of JSON; with a second argument it takes up a running reply instead.
import { DefaultChatTransport, readUIMessageStream } from "ai";

const [, , api, token, question, resume] = process.argv;
const transport = new DefaultChatTransport({ api, headers: { Authorization: `Bearer ${token}` } });
const chatId = "chat-1";
const messages = [{ id: "1", role: "user", parts: [{ type: "text", text: question }] }];
const stream = resume
  ? await transport.reconnectToStream({ chatId })
  : await transport.sendMessages({ chatId, messages, trigger: "submit-message", abortSignal: undefined });

if (stream === null) {
  console.log(JSON.stringify({ nothing: true }));
} else {
  const onError = (error) => console.log(JSON.stringify({ error: error.message ?? String(error) }));
  for await (const { id, role, parts } of readUIMessageStream({ stream, onError })) {
    const text = parts.filter((part) => part.type === "text").map((part) => part.text).join("");
    const states = parts.map((part) => part.state);
    console.log(JSON.stringify({ id, role, text, states }));
  }
}
