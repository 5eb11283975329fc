"""Notifications: what a program sends to one user or several."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar

import msgspec

from chatrooms import names
from chatrooms.clock import now_ms
from chatrooms.errors import BadRequest, Forbidden, TooLarge
from chatrooms.identity import Identity
from chatrooms.log.event import Event, event_id
from chatrooms.log.log import Log
from chatrooms.options import Options
from chatrooms.rooms.memberships import topic_of_user
from chatrooms.streams.hub import Hub
from chatrooms.streams.opening import Fields, LogStream
from chatrooms.streams.resume import Start

MAX_USERS = 1000  # recipients of one notification

_TYPE = re.compile(r"[a-z][a-z0-9_-]{0,63}\Z")

# Names that already mean something in a stream; `erased` events are in no stream at all.
RESERVED = frozenset(
    {
        "system", "user-joined", "user-left", "room-message", "message-edited", "message-deleted", "typing",
        "bot-chunk", "presence", "heartbeat", "status", "token-expiring", "closing", "room-joined", "room-left",
        "refused", "connection_confirmed", "ping", "new_message", "erased",
    }
)  # fmt: skip


class Notification(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """A notification as readers get it, but without its `id`.

    `data` is any JSON; `source_client_id` names the client that made the change, which may ignore
    the echo; `timestamp` in milliseconds since 1970.
    """

    type: str
    data: msgspec.Raw
    session_id: str | None = None
    source_client_id: str | None = None
    timestamp: int


def notification_event(
    user_ids: Sequence[str], type: str, data: object, session_id: str | int | None, source_client_id: str | None,
    max_bytes: int = 0,
) -> Event:  # fmt: skip
    """The event of a notification to these users.

    Raises BadRequest for invalid fields; TooLarge for `data` of more than `max_bytes` of JSON (0: any).
    """
    if not _TYPE.match(type) or type in RESERVED:
        raise BadRequest("bad-field", "type must be a-z, 0-9, _ and -, begin with a letter, and be no built-in event.")
    if not 1 <= len(user_ids) <= MAX_USERS:
        raise BadRequest("bad-field", f"There must be 1 to {MAX_USERS} userIds.")
    told = Notification(
        type=type,
        data=_encoded(data, max_bytes),
        session_id=None if session_id is None else names.session_id(session_id),
        source_client_id=None if source_client_id is None else names.client_id(source_client_id),
        timestamp=now_ms(),
    )
    topics: dict[str, None] = {}
    for user_id in map(names.user_id, user_ids):
        topics[topic_of_user(user_id)] = topics[topic_of_notifications(user_id, None)] = None
        if told.session_id is not None:
            topics[topic_of_notifications(user_id, told.session_id)] = None
    return Event(type, msgspec.json.encode(told), tuple(topics))


def topic_of_notifications(user_id: str, session_id: str | None) -> str:
    """The topic of a user's notifications, or of one session's. No session id has a slash."""
    return f"notify:{user_id}" if session_id is None else f"notify-session:{session_id}/{user_id}"


def _encoded(data: object, max_bytes: int) -> msgspec.Raw:
    encoded = msgspec.json.encode(data)
    if max_bytes and len(encoded) > max_bytes:
        raise TooLarge("too-large", f"data is longer than {max_bytes} bytes.")
    return msgspec.Raw(encoded)


class Notifications:
    """Appends notifications. Callers check who may send them."""

    def __init__(self, log: Log, options: Options) -> None:
        self._log = log
        self.max_bytes: int = options.max_message_bytes

    async def send(self, events: Sequence[Event]) -> list[str]:
        """Sends notifications, in one commit and in order; returns their ids once they are durable.

        Raises Unavailable.
        """
        done = await self._log.append(events)
        return [event_id(self._log.epoch, one.event.seq) for one in done]


class NotificationStream(LogStream):
    """A request to read a user's notifications: all, or one session's. Raises Forbidden, then BadRequest."""

    def __init__(self, hub: Hub, log: Log, who: Identity, fields: Fields) -> None:
        user_id, session_id = fields.get("userId", who.user_id), fields.get("sessionId")
        if user_id != who.user_id and not who.trusted:
            raise Forbidden("user-mismatch", "Only service and admin may read the notifications of others.")
        self._user_id = names.user_id(user_id)
        self._session_id = None if session_id is None else names.session_id(session_id)
        super().__init__(hub, log, who, fields, topic_of_notifications(self._user_id, self._session_id))

    async def check(self) -> int:
        return 0  # they are the reader's own, or the reader is trusted

    def described(self, start: Start, stream_id: str) -> dict[str, Any]:
        session = {} if self._session_id is None else {"sessionId": self._session_id}
        told = {"message": f"Notifications of {self._user_id}.", "userId": self._user_id, **session}
        return {**told, **super().described(start, stream_id)}


P = ParamSpec("P")
T = TypeVar("T")
Wrapped = Callable[P, Awaitable[T]]

Send = Callable[[Sequence[Event]], Awaitable[list[str]]]

log = logging.getLogger(__name__)


class Note(NamedTuple):
    """One notification of a batch: its type and user; the rest as for `Notifier.notify`."""

    user_id: str
    type: str
    data: object = None
    session_id: str | None = None
    source_client_id: str | None = None


class Notifier:
    """Notifies users durably: those who are away are notified when they come back.

    All methods raise BadRequest for invalid arguments, and Unavailable when the server takes no writes.
    Notifications of a session reach streams of that session, and streams of all the user's notifications.
    """

    def __init__(self, send: Send) -> None:
        self._send = send

    async def notify(
        self, user_id: str, type: str, data: object = None, *,
        session_id: str | None = None, source_client_id: str | None = None,
    ) -> str:  # fmt: skip
        """Notifies one user; returns the notification's id once it is durable.

        `data` is anything that JSON has; `source_client_id` names the client that made the change, which
        may ignore it.
        """
        (id,) = await self.notify_batch([Note(user_id, type, data, session_id, source_client_id)])
        return id

    async def notify_batch(self, notes: Iterable[Note]) -> list[str]:
        """Notifies several users, in one commit and in order; all or none. Returns the ids."""
        events = [
            notification_event([note.user_id], note.type, {} if note.data is None else note.data, *note[3:])
            for note in notes
        ]
        return await self._send(events) if events else []

    def notifies(self, type: str, *fields: str) -> Callable[[Wrapped[P, T]], Callable[P, Awaitable[T]]]:
        """Decorates a coroutine: its user is notified when it returns, and not when it raises.

        The arguments of the call name the user: `user_id`, and `session_id` and `source_client_id` if there
        are any; `fields` names those that are the data. If notifying fails, the coroutine's work stands: the
        failure is logged, not raised. Raises TypeError for a function without an argument `user_id`.
        """

        def decorate(function: Wrapped[P, T]) -> Callable[P, Awaitable[T]]:
            signature = inspect.signature(function)
            if "user_id" not in signature.parameters:
                raise TypeError(f"{function.__name__} has no argument user_id")

            @wraps(function)
            async def run(*args: P.args, **kwargs: P.kwargs) -> T:
                result = await function(*args, **kwargs)
                bound = signature.bind(*args, **kwargs)
                bound.apply_defaults()
                await self._notify_of(type, fields, bound.arguments)
                return result

            return run

        return decorate

    async def notify_client_updated(
        self, user_id: str, session_id: str | None, client_id: str, source_client_id: str | None = None
    ) -> str:
        """Notifies a user's session that a client in its care has changed: `client_updated {client_id}`."""
        data = {"client_id": client_id}
        return await self.notify(
            user_id, "client_updated", data, session_id=session_id, source_client_id=source_client_id
        )

    def notify_task_updated(self) -> Callable[[Wrapped[P, T]], Callable[P, Awaitable[T]]]:
        """Decorates a coroutine that changes a task: sends `task_updated {task_id}` when it has returned."""
        return self.notifies("task_updated", "task_id")

    async def notify_batch_task_update(
        self, user_id: str, session_id: str | None, task_ids: Sequence[str], source_client_id: str | None = None
    ) -> str:
        """Notifies that several tasks have changed: one `task_updated {task_ids}`, so that pages reload once."""
        data = {"task_ids": list(task_ids)}
        return await self.notify(
            user_id, "task_updated", data, session_id=session_id, source_client_id=source_client_id
        )

    async def _notify_of(self, type: str, fields: Sequence[str], arguments: Mapping[str, Any]) -> None:
        data = {field: arguments[field] for field in fields if field in arguments}
        note = Note(arguments["user_id"], type, data, arguments.get("session_id"), arguments.get("source_client_id"))
        try:
            await self.notify_batch([note])
        except Exception as error:
            log.warning("notification %s was not sent: %s", type, error)
