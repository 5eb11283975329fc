"""The bus of a node that is alone: there is nobody to tell."""

from __future__ import annotations

from chatrooms.bus.base import Health, Hear


class LocalBus:
    """Sends nothing to nobody."""

    async def open(self, node: str, hear: Hear, health: Health) -> None:
        pass

    async def close(self) -> None:
        pass

    def send(self, channel: str, message: bytes) -> None:
        pass
