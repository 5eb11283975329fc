"""Messages that other programs publish, over NATS: validated as POST does, appended once, delivered.

The publisher is a trusted back end, like one with a token of role `service`: it names the author of a message
and is exempt from rates and the rules of rooms. A message with an `id` is stored once, however often and to
whichever node it comes, as with a clientMessageId.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec

from chatrooms import body, names
from chatrooms.cluster.bus.base import Answer, Intake
from chatrooms.errors import BadRequest, Problem, Unavailable
from chatrooms.identity import Identity
from chatrooms.logs import described, notify
from chatrooms.rooms.message import Draft, Posted
from chatrooms.rooms.messages import Messages
from chatrooms.rooms.rules import Rules

HELD = 2000  # messages waiting for the database; further ones are refused
BATCH = 500  # messages appended at once
RETRY = 0.5  # seconds until a failed append is tried again
LOG_INTERVAL = 10.0  # seconds between two log lines about messages not taken
PATIENCE = 5.0  # seconds for waiting messages when the server stops
OUTCOMES = ("taken", "repeated", "refused", "lost")

OnPosted = Callable[[Identity, str, str, Sequence[bytes]], Awaitable[None]]

log = logging.getLogger(__name__)


class Published(msgspec.Struct, rename="camel"):
    """What a program publishes. Ids may be text or integers."""

    user_id: str | int
    message: str
    room_id: str | int | None = None
    chat_id: str | int | None = msgspec.field(default=None, name="chat_id")
    username: str | None = None
    id: str | int | None = None


class Waiting(NamedTuple):
    """A valid message and the callback that answers its publisher."""

    who: Identity
    username: str
    room_id: str
    draft: Draft
    answer: Answer


class Ingest:
    """Takes messages one after the other, in the order in which they reached this node.

    `outcomes` counts what became of them: `taken`, `repeated`, `refused` as bad, `lost` because too many
    waited for the database, the server stopped without it, or a fault of this program.
    """

    def __init__(self, intake: Intake, messages: Messages, on_posted: OnPosted) -> None:
        self._intake = intake
        self._messages = messages
        self._on_posted = on_posted
        self._waiting: deque[Waiting] = deque()
        self._wake = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._log_at = 0.0
        self._untold: Counter[str] = Counter()
        self.outcomes = Counter(dict.fromkeys(OUTCOMES, 0))

    async def open(self) -> None:
        """Starts taking messages. Raises StartFailure when NATS cannot be reached."""
        self._worker = asyncio.create_task(self._work())
        await self._intake.open(self._take)

    async def pause(self) -> None:
        """Stops taking messages: other nodes get what is published from now on."""
        await self._intake.pause()

    async def close(self) -> None:
        """Appends waiting messages, if the database accepts them soon, and disconnects."""
        await self.pause()
        worker, self._worker = self._worker, None
        if worker is not None:
            self._wake.set()
            await asyncio.wait([worker], timeout=PATIENCE)
            worker.cancel()
        while self._waiting:
            self._lose(self._waiting.popleft().answer)
        await self._intake.close()

    def _take(self, data: bytes, answer: Answer) -> None:
        if len(self._waiting) >= HELD:
            return self._lose(answer)
        try:
            self._waiting.append(self._read(data, answer))
        except Problem as problem:
            return self._refuse("refused", problem, answer)
        except Exception as error:
            return self._fail(error, answer)
        self._wake.set()

    def _read(self, data: bytes, answer: Answer) -> Waiting:
        """Raises BadRequest, TooLarge or UnsupportedMediaType where POST would."""
        published = body.parse(data, "application/json", Published)
        room = published.room_id if published.room_id is not None else published.chat_id
        room_id = names.room_id(None if room is None else str(room))
        user_id = names.user_id(published.user_id)
        if isinstance(published.user_id, int) and abs(published.user_id) >= 1 << 53:
            raise BadRequest("bad-field", "userId is beyond 2^53: send it as text.")
        name = user_id if published.username is None else names.username(published.username)
        # An id of our own if none is given: an append whose outcome is unknown is repeated.
        draft = Draft(published.message, secrets.token_urlsafe(12) if published.id is None else str(published.id))
        who = Identity(user_id, name, "service", float("inf"), "")
        self._messages.check(who, room_id, draft)
        return Waiting(who, name, room_id, draft, answer)

    async def _work(self) -> None:
        while self._waiting or self._worker is not None:
            if not self._waiting:
                await self._wake.wait()
                self._wake.clear()
            batch = list(islice(self._waiting, BATCH))
            # All start in this order and go into one commit; the rules of rooms do not apply.
            done = await asyncio.gather(*[self._append(one) for one in batch])
            for one, settled in reversed([(self._waiting.popleft(), settled) for settled in done]):
                if not settled:
                    self._waiting.appendleft(one)
            if not all(done):
                await asyncio.sleep(RETRY)

    async def _append(self, one: Waiting) -> bool:
        """False while the database is unavailable: the message is to be tried again."""
        try:
            (posted,) = await self._messages.post(one.who, one.username, one.room_id, [one.draft], Rules())
        except Unavailable:
            return False
        except Problem as problem:
            self._refuse("refused", problem, one.answer)
            return True
        except Exception as error:  # a retry would hold up all later messages
            self._fail(error, one.answer)
            return True
        self.outcomes["repeated" if posted.repeated else "taken"] += 1
        notify(one.answer, posted.data)
        if not posted.repeated:
            await self._consider(one, posted)
        return True

    async def _consider(self, one: Waiting, posted: Posted) -> None:
        try:
            await self._on_posted(one.who, one.username, one.room_id, [posted.data])
        except Exception as error:  # the message stands
            log.warning("what follows from a message failed: %s", type(error).__name__)

    def _fail(self, error: Exception, answer: Answer) -> None:
        log.error("a message over NATS was not taken: %s", described(error))
        self._refuse("lost", Problem("internal", "Something went wrong on the server."), answer)

    def _lose(self, answer: Answer) -> None:
        self._refuse("lost", Unavailable("unavailable", "Too many messages are waiting for the database.", 5), answer)

    def _refuse(self, outcome: str, problem: Problem, answer: Answer) -> None:
        self.outcomes[outcome] += 1
        self._untold[outcome] += 1
        notify(answer, msgspec.json.encode({"error": problem.sentence, "code": problem.code}))
        if time.monotonic() >= self._log_at:
            self._log_at = time.monotonic() + LOG_INTERVAL
            counts = ", ".join(f"{count} {what}" for what, count in self._untold.items())
            log.warning("messages over NATS: %s; the last one: %s", counts, problem.code)
            self._untold.clear()
