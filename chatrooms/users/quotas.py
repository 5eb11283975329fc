"""What one user may begin in a time, beyond messages: streams, rooms, AI replies."""

from __future__ import annotations

from chatrooms.identity import Identity
from chatrooms.limits import RateLimit
from chatrooms.options import Options

STREAM_PERIOD = 10.0  # seconds in which `stream-rate` counts
ROOM_PERIOD = 3600.0
REPLY_PERIOD = 60.0
TASK_PERIOD = 10.0
SIGNOUTS = 60  # of one user in a minute: one whom an embedding program signs in may do so with each request
EXPORT_PERIOD = 3600.0


class Quotas:
    """Counts by user; service and admin are exempt. All methods raise TooMany."""

    def __init__(self, options: Options) -> None:
        self._streams = RateLimit(options.streams_a_period, STREAM_PERIOD)
        self._refusals = RateLimit(options.streams_a_period, STREAM_PERIOD)
        self._rooms = RateLimit(options.room_rate, ROOM_PERIOD)
        self._joined = RateLimit(options.room_rate, ROOM_PERIOD)
        self._replies = RateLimit(options.replies_a_minute, REPLY_PERIOD)
        self._signouts = RateLimit(SIGNOUTS, 60.0)
        self._tasks = RateLimit(options.task_rate, TASK_PERIOD)
        self._exports = RateLimit(options.export_rate, EXPORT_PERIOD)

    def open_stream(self, who: Identity) -> None:
        """Counts a stream, or a poll."""
        self._spend(self._streams, who)

    def refuse_softly(self, who: Identity) -> None:
        """Counts a refusal that asks to come back: who comes back at once, again and again, gets a hard one."""
        self._spend(self._refusals, who)

    def make_room(self, who: Identity) -> None:
        """Counts a room that did not exist, or a session that nobody had."""
        self._spend(self._rooms, who)

    def join_unmade_room(self, user_id: str) -> None:
        """Counts a room that a user, not exempt, joins though it does not exist: its row stays all the same."""
        self._joined.spend(user_id)

    def reply(self, who: Identity) -> None:
        """Counts a reply to be generated."""
        self._spend(self._replies, who)

    def sign_out(self, who: Identity) -> None:
        """Counts a sign-out: each is kept in mind until its tokens have expired."""
        self._spend(self._signouts, who)

    def change_task(self, who: Identity) -> None:
        """Counts a task made, or a change of one: each is a commit."""
        self._spend(self._tasks, who)

    def export(self, who: Identity) -> None:
        """Counts an export: each reads a whole room."""
        self._spend(self._exports, who)

    def _spend(self, limit: RateLimit, who: Identity) -> None:
        if not who.trusted:
            limit.spend(who.user_id)
