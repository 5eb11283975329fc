// Reads with npm's event-source-polyfill, which resumes by ?lastEventId= alone; prints each message as a line of JSON.
import polyfill from "event-source-polyfill";

import { said } from "./said.mjs";

const source = new polyfill.EventSourcePolyfill(process.argv[2]);
for (const type of ["message", "room-message"]) {
  source.addEventListener(type, (event) => {
    const message = said(type, event.data);
    if (message !== undefined) console.log(JSON.stringify({ id: event.lastEventId, message }));
  });
}
