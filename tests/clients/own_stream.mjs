// Reads a stream with the npm package named first; prints each durable event as a line of JSON.
// node own_stream.mjs PACKAGE URL TOKEN TYPE…: the token goes in a header, unless it is empty.
import { EventSource } from "eventsource";
import polyfill from "event-source-polyfill";

const [, , name, url, token, ...types] = process.argv;
const headers = token ? { Authorization: `Bearer ${token}` } : {};
const makers = {
  "eventsource": () =>
    new EventSource(url, { fetch: (at, init) => fetch(at, { ...init, headers: { ...init.headers, ...headers } }) }),
  "event-source-polyfill": () => new polyfill.EventSourcePolyfill(url, { headers }),
};
const source = makers[name]();
for (const type of types) {
  source.addEventListener(type, (event) => console.log(JSON.stringify({ type, data: event.data })));
}
