"""Health and metrics (section 9)."""

from __future__ import annotations

from chatrooms.errors import Forbidden, Unavailable
from chatrooms.handlers.base import Handler
from chatrooms.metrics import CONTENT_TYPE


class Health(Handler):
    """The process answers."""

    async def prepare(self) -> None:
        self.access.check_host(self.request)

    async def get(self) -> None:
        self.answer({"status": "ok"})


class Ready(Handler):
    """Whether new work should be sent here."""

    async def get(self) -> None:
        if self.server.draining:
            raise Unavailable("draining", "The server is stopping.", 5)
        try:
            await self.server.database.fetch("select 1")
        except Exception:
            well = False
        else:
            well = self.server.well
        if not well:
            raise Unavailable("unavailable", "The database does not answer.", 5)
        self.answer({"status": "ready"})


class MetricsText(Handler):
    """For scrapers on this machine, and admins."""

    async def get(self) -> None:
        if not self.access.local(self.request) and self.identity().role != "admin":
            raise Forbidden("forbidden", "Metrics are for this machine and for admins.")
        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(self.server.metrics.text())


ROUTES = [
    (r"/healthz", Health),
    (r"/readyz", Ready),
    (r"/metrics", MetricsText),
]
