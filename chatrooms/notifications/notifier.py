"""Notifying from Python: calls and decorators for programs that the server is part of."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar

from chatrooms.event import Event
from chatrooms.notifications.notification import notification_event

P = ParamSpec("P")
T = TypeVar("T")
Wrapped = Callable[P, Awaitable[T]]

Tell = Callable[[Sequence[Event]], Awaitable[list[str]]]

log = logging.getLogger(__name__)


class Note(NamedTuple):
    """One notification of a batch: of what type, to whom; the rest as for `Notifier.notify`."""

    user_id: str
    type: str
    data: object = None
    session_id: str | None = None
    source_client_id: str | None = None


class Notifier:
    """Tells users something, durably: they are told also when they are away and come back.

    All methods raise BadRequest for what may not be, and Unavailable when the server takes no writes.
    Notifications of a session are read by those who ask for that session's, and by those who ask for
    all of the user's.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    async def notify(
        self, user_id: str, type: str, data: object = None, *,
        session_id: str | None = None, source_client_id: str | None = None,
    ) -> str:  # fmt: skip
        """Tells one user; returns the notification's id when it is durable.

        `data` is anything that JSON has; `source_client_id` names the client whose change this is, which
        may ignore it.
        """
        (id,) = await self.notify_batch([Note(user_id, type, data, session_id, source_client_id)])
        return id

    async def notify_batch(self, notes: Iterable[Note]) -> list[str]:
        """Tells several, in one commit and in order; all or none. Returns their ids."""
        events = [
            notification_event([note.user_id], note.type, {} if note.data is None else note.data, *note[3:])
            for note in notes
        ]
        return await self._tell(events) if events else []

    def notifies(self, type: str, *fields: str) -> Callable[[Wrapped[P, T]], Callable[P, Awaitable[T]]]:
        """Decorates a coroutine: when it has returned, its user is told; when it raised, nobody is.

        The arguments of the call say who: `user_id`, and `session_id` and `source_client_id` where there
        are such; `fields` names those that are the data. What was done stays done when telling fails:
        that is logged, not raised. Raises TypeError for a function without an argument `user_id`.
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
        """Tells a user's session that a client in its care has changed: `client_updated {client_id}`."""
        data = {"client_id": client_id}
        return await self.notify(
            user_id, "client_updated", data, session_id=session_id, source_client_id=source_client_id
        )

    def notify_task_updated(self) -> Callable[[Wrapped[P, T]], Callable[P, Awaitable[T]]]:
        """Decorates a coroutine that changes a task: `task_updated {task_id}` when it has returned."""
        return self.notifies("task_updated", "task_id")

    async def notify_batch_task_update(
        self, user_id: str, session_id: str | None, task_ids: Sequence[str], source_client_id: str | None = None
    ) -> str:
        """Tells that several tasks have changed: one `task_updated {task_ids}`, so that pages reload once."""
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
            log.warning("%s was not told: %s", type, error)
