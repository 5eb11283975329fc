"""One whole server: its parts, and the order in which they start and stop."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import AsyncExitStack
from pathlib import Path

from chatrooms.ai import provider
from chatrooms.bus.choice import bus_of, intake_of
from chatrooms.channels.channels import Channels
from chatrooms.channels.orders import ChannelOrders
from chatrooms.core.hub import Hub
from chatrooms.datadir import Folder, stored_secret
from chatrooms.errors import ConfigError
from chatrooms.event import CONTROL
from chatrooms.identity.accounts import Accounts
from chatrooms.identity.gate import Gate
from chatrooms.identity.publickeys import load
from chatrooms.identity.quotas import Quotas
from chatrooms.identity.signins import SignIns
from chatrooms.identity.tokens import MIN_SECRET_BYTES, Tokens
from chatrooms.limits import Places
from chatrooms.metrics import Metrics
from chatrooms.nodes.neighbours import Neighbours
from chatrooms.nodes.nodes import Nodes
from chatrooms.nodes.orders import Orders
from chatrooms.options import Options
from chatrooms.replies.in_rooms import RoomReplies
from chatrooms.replies.jobs import Replies
from chatrooms.replies.rights import ReplyRights
from chatrooms.replies.store import ReplyStore
from chatrooms.rooms.directory import Directory
from chatrooms.rooms.entrance import Entrance
from chatrooms.rooms.ingest import Ingest
from chatrooms.rooms.messages import Messages
from chatrooms.rooms.rooms import Rooms
from chatrooms.rules.acts import Acts
from chatrooms.rules.audit import Audit
from chatrooms.rules.invites import Invites
from chatrooms.rules.moderation import Moderation
from chatrooms.rules.rulebook import Rulebook
from chatrooms.rules.settings import RoomSettings
from chatrooms.sessions.outbox import Outbox
from chatrooms.sessions.readership import Readership
from chatrooms.sessions.sessions import Sessions
from chatrooms.storage import sessions as session_rows
from chatrooms.storage.engines import database_of
from chatrooms.storage.log import Log
from chatrooms.storage.messages import MessageQueries

DAY = 86400.0
HOUSEKEEPING = 3600.0  # seconds between two rounds of retention
WATCH = 0.5  # seconds between two looks for what other programs changed
DRAIN_STEP = 0.05  # seconds between two lots of streams that are ended in a drain

log = logging.getLogger(__name__)


class Server:
    """The parts of one server; nothing of it lives in a module, so several fit in one process.

    Raises ConfigError when the data folder is in use or the secret is too short to be safe.
    """

    def __init__(self, options: Options, data_dir: Path | None) -> None:
        self.options = options
        self._folder = Folder(data_dir, needed=not options.database_url)
        self.data_dir = self._folder.path
        secret = options.secret or stored_secret(self.data_dir)
        check_secret(secret, options.loopback)
        self._secret = secret
        public = load(options.jwt_algorithm, Path(options.jwt_keys)) if options.jwt_algorithm else None
        self.tokens = Tokens(secret, public, options.jwt_audience, options.jwt_issuer)
        self.ready = False
        self.draining = False
        self._starting: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Opens the database and begins to serve; harmless when that has happened.

        Raises ConfigError or Unavailable when the database cannot be had; then it may be tried again.
        """
        if self.ready:
            return
        starting = self._starting = self._starting or asyncio.create_task(self._start())
        try:
            await asyncio.shield(starting)
        except Exception:
            if self._starting is starting:
                self._starting = None
            raise

    async def _start(self) -> None:
        async with AsyncExitStack() as undo:
            await self._open(undo)
            undo.pop_all()
        self._tasks = [asyncio.create_task(self._keep_house()), asyncio.create_task(self._watch_database())]
        self.ready = True

    async def _open(self, undo: AsyncExitStack) -> None:
        """Makes the parts and opens them; `undo` closes those that were opened before one that could not be."""
        options = self.options
        self.database = database_of(options.database_url, self.data_dir)
        await self.database.open()
        undo.push_async_callback(self.database.close)
        self.hub = Hub(options.heartbeat, options.write_timeout, options.max_streams, options.max_streams_per_user)
        self.ingest: Ingest | None = None
        self.nodes = Nodes(bus_of(options.bus_url, options.database_url))
        self.log = Log(self.database, self.hub.publish, self._tell_health, self.nodes.ring)
        await self.log.open()
        undo.push_async_callback(self.log.close)
        self.hub.start(self.log)
        undo.callback(self.hub.stop)
        stored = MessageQueries(self.database)
        self.rooms = Rooms(self.hub, self.log, stored, options)
        self.quotas = Quotas(options)
        self.messages = Messages(self.log, stored, self.quotas, options)
        self.orders = Orders(self.log, self.hub, self.rooms, self.nodes.name)
        self._start_rules()
        self.gate = Gate(self.database, self.hub, self.tokens)
        await self.gate.reload()
        self.entrance = Entrance(self.rooms, self.rulebook, self.quotas, self.gate)
        self.channels = Channels(self.hub, self.rooms, self.entrance, self.nodes.name, options)
        self.channel_orders = ChannelOrders(self.log, self.hub, self.channels, self.database)
        self.signins = SignIns(self.database, self.log, self.tokens, self._secret, options)
        self.accounts = Accounts(self.database, self.log, self.signins, options)
        undo.callback(self.accounts.close)
        self._start_sessions(undo)
        await self._start_replies()
        undo.push_async_callback(self.replies.close)
        undo.push_async_callback(self.nodes.close)
        await self._meet_nodes()
        self.ingest = self._ingest()
        self.metrics = Metrics(self.hub, self.log, self.replies, self.ingest)
        if self.ingest is not None:
            undo.push_async_callback(self.ingest.close)
            await self.ingest.open()

    def _ingest(self) -> Ingest | None:
        subject = self.options.nats_ingest
        if subject is None:
            return None
        return Ingest(intake_of(self.options.bus_url, subject), self.messages, self.room_replies.consider)

    def _start_sessions(self, undo: AsyncExitStack) -> None:
        self.sessions = Sessions(self.database, self.log, self.hub, self.quotas, self.options)
        self.readership = Readership(self.hub, self.rulebook, self.sessions)
        self.outbox = Outbox(self.database, self.log, self.options)
        self.nodes.on_rows = self.outbox.wake
        self.outbox.open()
        undo.push_async_callback(self.outbox.close)

    async def _start_replies(self) -> None:
        options = self.options
        self.replies = Replies(ReplyStore(self.database, self.log), provider(options), options)
        self.room_replies = RoomReplies(self.replies, self.rooms, self.messages, self.log, self.quotas, self.nodes.ask)
        self.reply_rights = ReplyRights(self.rulebook, self.quotas)
        self.reply_readers = Places(options.max_streams, options.max_streams_per_user)
        self.hub.listen(CONTROL, self.replies.obey)
        # Where the data folder is locked, no other node can be alive.
        await self.replies.open(alone=not self.database.shared)

    async def _meet_nodes(self) -> None:
        self.nodes.on_say, self.nodes.on_health = self.room_replies.hear, self._tell_bus_health
        self.nodes.on_ask = self.room_replies.greet
        self.rooms.on_tell = self.nodes.say
        self.neighbours = Neighbours(self.database, self.nodes, self.rooms) if self.database.shared else None
        if self.neighbours is not None:
            self.neighbours.on_arrival = self.room_replies.greet
        await self.nodes.open(self.log)
        if self.neighbours is not None:
            await self.neighbours.open()

    def _start_rules(self) -> None:
        self.rulebook = Rulebook(self.database, self.rooms)
        self.directory = Directory(self.database, self.rooms, self.rulebook)
        acts = Acts(self.log, self.options)
        self.room_settings = RoomSettings(acts, self.rooms)
        self.moderation = Moderation(acts, self.hub)
        self.invites = Invites(acts, self.database)
        self.audit = Audit(self.database, self.log)

    @property
    def well(self) -> bool:
        """Whether database and bus are there."""
        return self.log.well and self.nodes.well

    def _tell_health(self, well: bool) -> None:
        """Streams stay open while the database is away, and say so."""
        self._tell_status(well, "The database does not take writes.")

    def _tell_bus_health(self, well: bool) -> None:
        if well and self.neighbours is not None:
            self.neighbours.refresh()
        self._tell_status(well, "The bus is away: what others write comes up to a second late.")

    def _tell_status(self, well: bool, reason: str) -> None:
        self.hub.tell_all("status", {"degraded": not well, "reason": "" if well else reason})

    async def drain(self) -> None:
        """Tells every stream to come back elsewhere or later, spread over the drain time."""
        if not self.ready:
            return
        self.draining = self.rooms.draining = self.sessions.draining = True
        if self.ingest is not None:
            await self.ingest.pause()
        streams = list(self.hub.streams)
        random.shuffle(streams)
        steps = max(1, int(self.options.drain / DRAIN_STEP))
        lot = -(-len(streams) // steps) if streams else 0
        for start in range(0, len(streams), max(1, lot)):
            for stream in streams[start : start + lot]:
                channel = self.channels.get(stream.id)
                if channel is None:
                    self.rooms.end(stream, "draining")
                else:  # with all its streams
                    channel.end("draining")
            await asyncio.sleep(DRAIN_STEP)

    async def stop(self) -> None:
        """Ends what is left, commits what waits, and lets go of the data folder."""
        if self.ready:
            self.ready = False
            for task in self._tasks:
                task.cancel()
            self.channels.end("draining")
            for stream in list(self.hub.streams):
                stream.end("draining", True)
            self.hub.stop()
            await self.outbox.close()
            if self.ingest is not None:
                await self.ingest.close()
            await self.replies.close()
            self.accounts.close()
            await self.log.close()
            if self.neighbours is not None:
                await self.neighbours.close()
            await self.nodes.close()
            await self.database.close()
        self._folder.close()

    async def _keep_house(self) -> None:
        while True:
            try:
                await self.signins.forget_expired()
                await self.gate.forget_expired()
                if self.options.retention:
                    await self._forget_old()
            except Exception as error:  # tried again next time
                log.warning("housekeeping failed: %s", error)
            await asyncio.sleep(HOUSEKEEPING)

    async def _watch_database(self) -> None:
        """Sees what other programs, such as `chatrooms user disable`, did to the database."""
        while True:
            await asyncio.sleep(WATCH)
            try:
                changed = await self.database.changed_elsewhere()
                if changed:
                    self.outbox.wake()
                if changed or self.gate.stale:
                    await self.gate.reload()
            except Exception as error:
                log.debug("the database cannot be watched: %s", error)

    async def _forget_old(self) -> None:
        cutoff = int((time.time() - self.options.retention * DAY) * 1000)
        await self.replies.forget(cutoff)
        await session_rows.forget(self.database, cutoff)
        removed = await self.log.forget(cutoff)
        if removed:
            self.hub.forget()
            log.info("retention removed %d events", removed)


def check_secret(secret: str, loopback: bool) -> None:
    """Warns of a short secret on loopback; raises ConfigError for it elsewhere."""
    if len(secret.encode()) >= MIN_SECRET_BYTES:
        return
    sentence = f"--secret is shorter than {MIN_SECRET_BYTES} bytes: tokens signed with it can be forged"
    if not loopback:
        raise ConfigError(sentence)
    log.warning("%s", sentence)
