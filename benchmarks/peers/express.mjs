// Rooms as most Express programs have them: a Set of responses, and `res.write` for each. No auth, no storage.
//
//   node express.mjs 4003        GET /events?roomId=R        POST /publish?roomId=R  {"message": "..."}
import { createRequire } from "node:module";

const [port, folder] = process.argv.slice(2);
const express = createRequire(`${folder}/`)("express"); // installed beside this project, not in it
const rooms = new Map();
const app = express();
app.use(express.json({ limit: "64kb" }));

app.get("/events", (request, response) => {
  const id = request.query.roomId;
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
  response.write("event: system\ndata: {}\n\n");
  if (!rooms.has(id)) rooms.set(id, new Set());
  rooms.get(id).add(response);
  request.on("close", () => rooms.get(id).delete(response));
});

app.post("/publish", (request, response) => {
  const event = `event: room-message\ndata: ${JSON.stringify({ message: request.body.message })}\n\n`;
  for (const reader of rooms.get(request.query.roomId) ?? []) reader.write(event);
  response.status(201).json({});
});

app.listen(Number(port), "127.0.0.1", 4096);
