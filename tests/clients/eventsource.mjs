// Reads with npm's eventsource, as any Node program would; prints each message as a line of JSON.
import { EventSource } from "eventsource";

import { said } from "./said.mjs";

const source = new EventSource(process.argv[2]);
for (const type of ["message", "room-message"]) {
  source.addEventListener(type, (event) => {
    const message = said(type, event.data);
    if (message !== undefined) console.log(JSON.stringify({ id: event.lastEventId, message }));
  });
}
