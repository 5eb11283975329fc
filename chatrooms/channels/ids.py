"""Ids of channels: unguessable, and recognised by every node that has the same secret."""

from __future__ import annotations

import hashlib
import hmac
import secrets


class ChannelIds:
    """Makes ids `<node>.<random>.<seal>`. An id that nobody made costs no look into the database, and no order."""

    def __init__(self, node: str, secret: str) -> None:
        self._node = node
        self._key = hashlib.sha256(b"channel ids:" + secret.encode()).digest()

    def new(self) -> str:
        id = f"{self._node}.{secrets.token_urlsafe(16)}"
        return f"{id}.{self._seal(id)}"

    def node_of(self, id: str) -> str | None:
        """The node that made an id; None when none did."""
        made, _, seal = id.rpartition(".")
        genuine = hmac.compare_digest(seal.encode(errors="replace"), self._seal(made).encode())
        return made.partition(".")[0] if genuine else None

    def _seal(self, id: str) -> str:
        return hmac.new(self._key, id.encode(errors="replace"), hashlib.sha256).hexdigest()[:20]
