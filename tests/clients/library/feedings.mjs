// Feeds bytes to the parser as a network would; runs in Node and in pages.
import { readEvents } from '../client/parser.js';

export const FEEDINGS = {
  whole: (bytes) => [bytes],
  'byte by byte': (bytes) => Array.from(bytes, (byte) => Uint8Array.of(byte)),
  'random cuts': (bytes) => randomCuts(bytes),
};

/** The same cuts each time, of 0 to 4 bytes. */
function randomCuts(bytes) {
  const pieces = [];
  let seed = 42;
  for (let start = 0; start < bytes.length; ) {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    const end = start + (seed >> 8) % 5;
    pieces.push(bytes.slice(start, end));
    start = end;
  }
  return pieces;
}

export async function parse(bytes, cut) {
  const body = new ReadableStream({
    start(controller) {
      for (const piece of cut(bytes)) controller.enqueue(piece);
      controller.close();
    },
  });
  const events = [];
  let parser = null;
  for await (const { type, data, lastEventId } of readEvents(new Response(body), (p) => { parser = p; })) {
    events.push({ type, data, lastEventId });
  }
  return { events, retry: parser?.retry ?? null, lastEventId: parser?.lastEventId ?? '' };
}
