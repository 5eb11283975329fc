"""The peer that everybody writes first: `write` and `flush` for each client of a room. No auth, no storage.

python plain_tornado.py 4002        GET /events?roomId=R        POST /publish?roomId=R  {"message": "..."}
"""

import asyncio
import json
import sys
from collections import defaultdict

from tornado.iostream import StreamClosedError
from tornado.web import Application, RequestHandler

Rooms = defaultdict[str, "set[Events]"]


class Events(RequestHandler):
    """One open event stream."""

    def initialize(self, rooms: Rooms) -> None:
        self.rooms = rooms
        self.closed = asyncio.Event()

    async def get(self) -> None:
        room = self.rooms[self.get_argument("roomId")]
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-cache")
        self.send("event: system\ndata: {}\n\n")
        room.add(self)
        try:
            await self.closed.wait()
        finally:
            room.discard(self)

    def send(self, event: str) -> None:
        try:
            self.write(event)
            self.flush()
        except StreamClosedError:
            self.closed.set()

    def on_connection_close(self) -> None:
        self.closed.set()


class Publish(RequestHandler):
    """Sends one message to everyone in the room, then responds."""

    def initialize(self, rooms: Rooms) -> None:
        self.rooms = rooms

    def post(self) -> None:
        room = self.rooms[self.get_argument("roomId")]
        data = json.dumps({"message": json.loads(self.request.body)["message"]})
        for stream in list(room):
            stream.send(f"event: room-message\ndata: {data}\n\n")
        self.set_status(201)


async def main(port: int) -> None:
    rooms: Rooms = defaultdict(set)
    app = Application(
        [("/events", Events, {"rooms": rooms}), ("/publish", Publish, {"rooms": rooms})],
        log_function=lambda handler: None,
    )
    app.listen(port, "127.0.0.1", backlog=4096)
    await asyncio.Event().wait()


asyncio.run(main(int(sys.argv[1])))
