"""A client of the server's public API, for programs, the command line, tests and benchmarks.

    async with Client("http://127.0.0.1:4000", token=TOKEN) as client:
        await client.send("lobby", "hi")
        async for event in client.room("lobby", username="ann"):
            print(event.type, event.data)

Reading survives dropped connections, restarts and expiring tokens without a gap or a repeat; sending
retries under the same id until the server acknowledges. A refusal raises `Refused`. Needs httpx:
`pip install 'chatrooms[client]'`.
"""

from chatrooms.client.client import Client
from chatrooms.client.exchange import Refused
from chatrooms.client.feed import Event, Reply, ReplyFailed

__all__ = ("Client", "Event", "Refused", "Reply", "ReplyFailed")
