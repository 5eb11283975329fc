"""The log: every durable event, in one total order, appended in groups.

Appends that arrive while one commit is under way go together in the next. A caller is answered, and the event
handed to its readers, only after the commit: nobody sees an event that a crash can take back.

Where other nodes append to the same log, each node reads the events it has missed, in order: when it is
rung, before an append of its own (it sees the head under the lock), and once a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from itertools import chain

from chatrooms.errors import Unavailable
from chatrooms.log.database import Database, Source, Transaction
from chatrooms.log.event import Event, Position
from chatrooms.log.group import Appended, Command, FarBehind, Group, HistoryLost, Job, Waiting, answer, event_of
from chatrooms.log.retention import Extent, between, extent_of, new_epoch, remove_old_events, renewed
from chatrooms.logs import described, notify

MAX_GROUP = 512  # events in one commit
PROBE = 1.0  # seconds between two probes of a failed database
MAX_WAITING = 20_000  # events waiting for a commit; beyond it a write is refused, not queued
LOOK = 1.0  # seconds between two checks for events of other nodes
PAGE = 500  # events of other nodes read at once; nothing is appended while more are missing
ERASED = "erased"

Listener = Callable[[Sequence[Event]], None]
HealthListener = Callable[[bool], None]

_READ = """
select e.seq, e.type, e.data, e.ref from event_topics t join events e on e.seq = t.seq
where t.topic = $1 and t.seq > $2 and t.seq <= $3 and e.type <> 'erased' order by t.seq limit $4"""
# The limit is inside, so that no more rows than that are scanned, erased ones included.
_COUNT = """
select count(*), coalesce(sum(case when type = 'erased' then 1 else 0 end), 0) from (
  select e.type from event_topics t join events e on e.seq = t.seq
  where t.topic = $1 and t.seq > $2 and t.seq <= $3 order by t.seq limit $4) found"""

log = logging.getLogger(__name__)


class Log:
    """Append, read, head, epoch.

    `head` is the seq of the last committed event that this node has taken, `floor` that of the last one that
    retention has removed; `head` changes in the step in which `listener` gets the events. `on_append` is told,
    after that step, of what this node has appended; `on_renewal`, in the step in which the epoch has changed,
    that all that was known of the database may be wrong. What these raise is logged, and changes nothing.
    """

    def __init__(
        self, database: Database, listener: Listener, on_health: HealthListener = lambda healthy: None,
        on_append: Listener = lambda events: None, on_renewal: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._database = database
        self._listener = listener
        self._on_health = on_health
        self._on_append = on_append
        self._on_renewal = on_renewal
        self._probe: asyncio.Task[None] | None = None
        self._waiting = Waiting()
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._looked: asyncio.Future[None] | None = None
        self._closing = False
        self.epoch = ""
        self.head = 0
        self.floor = 0

    async def open(self) -> None:
        """Reads the extent of the log and starts the writer."""
        async with self._database.appending() as tx:
            await tx.execute("insert into meta values ('epoch', $1) on conflict (name) do nothing", new_epoch())
            self.head, self.floor, self.epoch = await extent_of(tx)
        self._writer = asyncio.create_task(self._write())
        if self._database.shared:
            self._looking = asyncio.create_task(self._poll())

    async def close(self) -> None:
        """Commits waiting appends and stops."""
        self._closing = True
        if self._looking is not None:
            self._looking.cancel()
        self._wake.set()
        if self._writer is not None:
            await self._writer
        if self._probe is not None:
            self._probe.cancel()

    @property
    def healthy(self) -> bool:
        """Whether the last attempt to write succeeded."""
        return self._probe is None

    async def append(self, events: Sequence[Event], command: Command | None = None) -> list[Appended]:
        """Appends the events, in one commit and in order, and returns when they are durable.

        An event whose `key` is in the log already is not appended: its first appearance is returned
        instead. `command`, when given, runs in the same transaction before and may return more
        events; it must check before it writes, since a Problem that it raises fails this append
        alone, without a rollback.

        Raises Unavailable when too many appends wait or the database fails.
        """
        if self._closing or self._waiting.events > MAX_WAITING:
            raise Unavailable("unavailable", "The server cannot take writes right now.", retry_after=1)
        job = Job(events, command)
        self._waiting.add(job)
        self._wake.set()
        return await job.future

    def ring(self, seq: int) -> None:
        """The log is said to reach that far: events missing here are read soon."""
        if seq > self.head and self._looked is None and self._database.shared and not self._closing:
            self._looked = asyncio.get_running_loop().create_future()
            self._wake.set()

    def receive(self, epoch: str, events: Sequence[Event]) -> None:
        """Events that another node has just appended: taken if they come next, else the log is read soon."""
        if epoch == self.epoch and events[0].seq == self.head + 1 and not self._closing:
            self.head = events[-1].seq
            notify(self._listener, events)
        else:
            self.ring(events[-1].seq)

    async def reach(self, position: Position) -> None:
        """Returns when this node has read everything up to a position, if it is one of this log.

        Raises Unavailable when the database does not say.
        """
        if position.epoch == self.epoch:
            self.ring(position.seq)
            if self._looked is not None and position.seq > self.head:
                await asyncio.shield(self._looked)

    async def read(self, topic: str, after: int, limit: int) -> list[Event]:
        """The next events of a topic after a seq, oldest first, as they are now.

        None beyond `head` as it is at the call: what the listener has yet to get would reach a reader twice.
        """
        rows = await self._database.fetch(_READ, topic, after, self.head, limit)
        return [event_of(row, (topic,)) for row in rows]

    async def count(self, topic: str, after: int, most: int) -> int:
        """How many events a topic has after a seq, up to `head`: at most `most`, which also stands for more."""
        ((looked_at, erased),) = await self._database.fetch(_COUNT, topic, after, self.head, most)
        return most if looked_at == most else int(looked_at - erased)

    def knows(self, position: Position) -> bool:
        """Whether everything after that position can still be read."""
        return position.epoch == self.epoch and self.floor <= position.seq <= self.head

    async def forget(self, before_ms: int) -> int:
        """Removes the events made before that time (milliseconds since 1970); returns how many.

        In steps that each hold the lock of the log for milliseconds. Raises Unavailable; what was removed by
        then stays so.
        """
        return await remove_old_events(self._database, before_ms, self._raise_floor)

    def _raise_floor(self, floor: int) -> None:
        self.floor = max(self.floor, floor)

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting or self._looked is not None:
                await self._look()
                if self._waiting:
                    await self._commit_or_split(self._waiting.take(MAX_GROUP))
            if self._closing:
                return

    async def _poll(self) -> None:
        """A ring may be lost: this bounds how late its events can be."""
        while True:
            await asyncio.sleep(LOOK)
            self.ring(self.head + 1)

    async def _look(self) -> None:
        """Reads what other nodes have appended, if somebody has rung, and wakes callers that wait for it."""
        looked, self._looked = self._looked, None
        if looked is None:
            return
        try:
            await self._take_missing()
        except Exception as error:
            log.warning("what others have appended cannot be read: %s", error)
            looked.set_exception(Unavailable("unavailable", "The database does not answer right now.", 1))
            looked.exception()  # nobody may be waiting
            self._on_failure()
        else:
            looked.set_result(None)

    async def _take_missing(self) -> None:
        head = self.head  # while the database is asked, others may tell what they append now
        try:
            await self._publish_range(self._database, await extent_of(self._database), head)
        except HistoryLost:
            await self._begin_anew()

    async def _begin_anew(self) -> None:
        """Continues where the database ends, in a new epoch: earlier positions are void."""
        async with self._database.appending() as tx:
            extent = await renewed(tx, self.epoch, self.head)
        if extent.epoch != self.epoch:
            log.error(
                "the database has lost events (a failover? a restore?): it ends at %d, and %d were here; "
                "epoch %s begins, readers start anew", extent.head, self.head, extent.epoch,
            )  # fmt: skip
            self.head, self.floor, self.epoch = extent
            notify(self._on_renewal)

    async def _publish_range(self, source: Source, extent: Extent, head: int) -> None:
        """Hands events of other nodes to the listener, a page at a time; `head` was known before the extent."""
        if extent.head < head or extent.epoch != self.epoch:
            raise HistoryLost
        self.floor = extent.floor
        while self.head < extent.head:
            end = min(extent.head, self.head + PAGE)
            found = await between(source, self.head, end)
            # No await from here on: reads of the log end where its listeners are.
            events = [event for event in found if event.seq > self.head]  # some may have been received meanwhile
            self.head = max(self.head, end)
            if events:
                notify(self._listener, events)

    async def _commit_or_split(self, jobs: list[Job]) -> None:
        """Commits a group; one that fails is tried one by one, so that one bad row fails alone.

        Not when the database is away: each try would wait for it as long as the first.
        """
        batches = [jobs]
        while batches:
            batch = batches.pop(0)
            try:
                group = await self._commit(batch)
            except Unavailable as problem:
                self._fail([*chain(batch, *batches)], problem)
                return
            except Exception as error:
                if len(batch) > 1:
                    batches = [[job] for job in batch]
                    continue
                log.error("append failed: %s", described(error))
                self._fail(batch, Unavailable("unavailable", "The database did not take the write.", retry_after=1))
            except asyncio.CancelledError:  # the loop is ending: leave no caller waiting
                for job in chain(batch, *batches):
                    job.future.cancel()
                raise
            else:
                self._publish(batch, group)

    def _publish(self, jobs: list[Job], group: Group) -> None:
        """Announces what was committed, whatever happens: a second attempt would append it again.

        Nothing has been awaited since the commit, and nothing is here: head, readers and callers agree.
        """
        self.head = group.head
        if group.added:
            notify(self._listener, group.added)
        for job in jobs:
            answer(job, job.outcome)
        if group.added:
            notify(self._on_append, group.added)

    def _fail(self, jobs: list[Job], problem: Unavailable) -> None:
        for job in jobs:
            answer(job, problem)
        self._on_failure()

    def _on_failure(self) -> None:
        if self._probe is None and not self._closing:
            notify(self._on_health, False)
            self._probe = asyncio.create_task(self._wait_until_healthy())

    async def _wait_until_healthy(self) -> None:
        """Tries a write now and then, so that recovery is noticed even if nobody posts."""
        while True:
            await asyncio.sleep(PROBE)
            try:
                async with self._database.appending() as tx:
                    await tx.execute("update meta set value = value where name = 'epoch'")
            except Exception as error:
                log.debug("the database is still away: %s", error)
            else:
                self._probe = None
                notify(self._on_health, True)
                return

    async def _commit(self, jobs: list[Job]) -> Group:
        while True:
            try:
                return await self._try_commit(jobs)
            except (FarBehind, HistoryLost):
                await self._take_missing()

    async def _try_commit(self, jobs: list[Job]) -> Group:
        async with self._database.appending() as tx:
            if self._database.shared:
                await self._meet(tx)
            group = Group(self.head)
            await group.look_up(tx, jobs)
            for job in jobs:
                job.outcome = await group.run(tx, job)
            await group.insert(tx)
        return group

    async def _meet(self, tx: Transaction) -> None:
        """Under the lock: reads events of other nodes, so that this node's come after them."""
        extent = await extent_of(tx)
        if extent.head - self.head > PAGE:
            raise FarBehind
        await self._publish_range(tx, extent, self.head)
