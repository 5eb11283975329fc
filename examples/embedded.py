"""A Tornado application of one's own with chat rooms in it: `python examples/embedded.py --port 8000`.

Its users are those of a cookie of its own; its own code says something in a room and notifies them.
"""

from __future__ import annotations

import argparse
import asyncio
import signal

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from chatrooms import Chatrooms, Identity, identify

USERS = {"s3cret-of-ada": "Ada", "s3cret-of-bob": "Bob"}  # your sessions


def who_asks(request: HTTPServerRequest) -> Identity | None:
    """The user of your own session, or None: then a token of the chat server may still say who it is."""
    cookie = request.cookies.get("session")
    name = USERS.get(cookie.value) if cookie else None
    return identify(name.lower(), name) if name else None


class Orders:
    """Some work of your own that users want to hear of."""

    def __init__(self, chat: Chatrooms) -> None:
        # The decorator tells the user when the work is done, and nothing when it failed.
        self.ship = chat.notifies("order_shipped", "order_id")(self._ship)

    async def _ship(self, order_id: str, user_id: str) -> None:
        await asyncio.sleep(0)


class Ship(RequestHandler):
    """POST /orders/7/ship?user=ada"""

    def initialize(self, chat: Chatrooms, orders: Orders) -> None:
        self.chat = chat
        self.orders = orders

    async def post(self, order_id: str) -> None:
        await self.orders.ship(order_id, self.get_argument("user"))
        await self.chat.publish("orders", f"Order {order_id} is on its way.", user_id="shop", username="Shop")
        self.write({"shipped": order_id})


async def main() -> None:
    parser = argparse.ArgumentParser(description="Chat rooms in an application of your own.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--data-dir", default="data")
    options = parser.parse_args()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with Chatrooms(authenticate=who_asks, data_dir=options.data_dir, drain=1) as chat:
        parts = {"chat": chat, "orders": Orders(chat)}
        app = Application([(r"/orders/(\w+)/ship", Ship, parts), (r"/.*", chat.app)])
        sockets = bind_sockets(options.port, "127.0.0.1")
        server = HTTPServer(app)
        server.add_sockets(sockets)
        print(f"serving http://127.0.0.1:{sockets[0].getsockname()[1]}/", flush=True)
        await ended.wait()
        server.stop()


if __name__ == "__main__":
    asyncio.run(main())
