// Reads a room with npm's eventsource, as any Node program would; prints each message as a line of JSON.
import { EventSource } from "eventsource";

const source = new EventSource(process.argv[2]);
source.addEventListener("room-message", (event) => {
  console.log(JSON.stringify({ id: event.lastEventId, message: JSON.parse(event.data).message }));
});
