// Reads a task's progress with an EventSource from npm, and lets it reconnect as it will.
// Prints each event as a line of JSON, and when the source has given up.
import { EventSource as Plain } from "eventsource";
import polyfill from "event-source-polyfill";

const [, , kind, url] = process.argv;
const source = kind === "eventsource" ? new Plain(url) : new polyfill.EventSourcePolyfill(url);
for (const type of ["progress", "complete"]) {
  source.addEventListener(type, (event) => {
    console.log(JSON.stringify({ type, id: event.lastEventId, task: JSON.parse(event.data) }));
  });
}
source.addEventListener("error", () => {
  if (source.readyState === 2) console.log(JSON.stringify({ type: "closed" }));
});
