"""Readership: how many streams read what, as far as the caller may know."""

from __future__ import annotations

from collections import Counter

from chatrooms.core.hub import Hub
from chatrooms.identity.tokens import Identity
from chatrooms.rules.rulebook import Rulebook
from chatrooms.sessions.message import ALL, OPEN
from chatrooms.sessions.owners import READERS_OF_ALL, VISITOR, Owners

GLOBAL = "session_messages:global"


class Readership:
    """The topics of this node that have readers, by the names of the contract (section 5)."""

    def __init__(self, hub: Hub, rulebook: Rulebook, owners: Owners) -> None:
        self._hub = hub
        self._rulebook = rulebook
        self._owners = owners

    async def counts(self, who: Identity) -> dict[str, int]:
        """The streams of each channel that somebody may read; `admin` sees all. Raises Unavailable."""
        readers = self._hub.counts()
        seen: Counter[str] = Counter()
        mine = await self._readable(who, {id for name in readers if (id := _session(name))})
        for name, count in readers.items():
            session_id = _session(name)
            if session_id:
                seen[f"session_messages:{session_id}"] += count if session_id in mine else 0
            elif name.partition("/")[0] == ALL:
                seen[GLOBAL] += count if self._reads_globally(who, name) else 0
            elif who.role == "admin" or await self._may_read_room(who, name):
                seen[name] += count
        return dict(+seen)

    async def _readable(self, who: Identity, session_ids: set[str]) -> set[str]:
        """Those of the sessions that somebody may read."""
        if who.role in READERS_OF_ALL:
            return session_ids
        owners = await self._owners.among(session_ids)
        return {id for id in session_ids if owners.get(id) == (None if who.role == VISITOR else who.user_id)}

    def _reads_globally(self, who: Identity, name: str) -> bool:
        return who.role in READERS_OF_ALL or (who.role == VISITOR and name.startswith(OPEN))

    async def _may_read_room(self, who: Identity, name: str) -> bool:
        family, _, room_id = name.partition(":")
        return family == "room" and who.role != VISITOR and await self._rulebook.may_read(who, room_id)


def _session(topic: str) -> str:
    """The session of a topic, or "" for one that is none's."""
    name = topic.partition("/")[0]
    return name.removeprefix("session:") if name.startswith("session:") else ""
