"""Housekeeping: what has run out is removed, once an hour."""

from __future__ import annotations

import asyncio
import logging

from chatrooms.clock import now_ms
from chatrooms.parts import Parts
from chatrooms.storage import sessions as session_rows

DAY_MS = 86_400_000
INTERVAL = 3600.0  # seconds between two rounds

log = logging.getLogger(__name__)


async def keep_house(server: Parts) -> None:
    """Removes, for ever, what has run out: sign-ins, results, tasks, and events past retention."""
    while True:
        try:
            await server.signins.forget_expired()
            await server.gate.forget_expired()
            await server.accounts.forget_expired()
            await server.results.forget()
            if server.options.task_days:
                await server.tasks.forget(now_ms() - int(server.options.task_days * DAY_MS))
            if server.options.retention:
                await forget_old(server, now_ms() - int(server.options.retention * DAY_MS))
        except Exception as error:  # tried again next time
            log.warning("housekeeping failed: %s", error)
        await asyncio.sleep(INTERVAL)


async def forget_old(server: Parts, cutoff: int) -> None:
    """Removes events and their like from before `cutoff`, in milliseconds since 1970."""
    await server.replies.forget(cutoff)
    await session_rows.forget(server.database, cutoff)
    removed = await server.log.forget(cutoff)
    if removed:
        server.hub.forget()
        log.info("retention removed %d events", removed)
