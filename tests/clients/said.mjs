// What an event says, of a room or of a message session; undefined for one that is no message.
export function said(type, text) {
  const data = JSON.parse(text);
  if (type === "room-message") return data.message;
  return type === "message" && data.type === "message" ? data.data.content : undefined;
}
