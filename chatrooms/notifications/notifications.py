"""Notifications: told durably, and read as one stream a user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chatrooms.event import Event, event_id
from chatrooms.identity.tokens import Identity
from chatrooms.notifications.notification import topic_of_notifications
from chatrooms.options import Options
from chatrooms.personal.reading import Common, Reading


class Notifications:
    """Appends notifications, and begins readings of them. Who may is the caller's to check."""

    def __init__(self, common: Common, options: Options) -> None:
        self.common = common
        self.max_bytes: int = options.max_message_bytes

    async def tell(self, events: Sequence[Event]) -> list[str]:
        """Tells notifications, in one commit and in order; returns their ids when they are durable.

        Raises Unavailable.
        """
        done = await self.common.log.append(events)
        return [event_id(self.common.log.epoch, one.event.seq) for one in done]

    def reading(self, who: Identity, client_id: str, user_id: str, session_id: str | None) -> NotificationReading:
        return NotificationReading(self, who, client_id, user_id, session_id)


class NotificationReading(Reading):
    """A wish to read a user's notifications: all, or those of one session."""

    def __init__(
        self, notifications: Notifications, who: Identity, client_id: str, user_id: str, session_id: str | None
    ) -> None:
        name = topic_of_notifications(user_id, session_id)
        super().__init__(notifications.common, who, client_id, name)
        self._user_id = user_id
        self._session_id = session_id

    def described(self) -> dict[str, Any]:
        session = {} if self._session_id is None else {"sessionId": self._session_id}
        return {"message": f"Notifications of {self._user_id}.", "userId": self._user_id, **session}
