"""The parts of a server: how they are put together, opened in order, and closed in reverse."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from pathlib import Path

from chatrooms.ai import provider
from chatrooms.cluster.bus import bus_of, intake_of
from chatrooms.cluster.leases import Lease
from chatrooms.cluster.nodes import Nodes
from chatrooms.datadir import Folder, stored_secret
from chatrooms.errors import ConfigError
from chatrooms.limits import Places
from chatrooms.log import database_of
from chatrooms.log.event import CONTROL
from chatrooms.log.log import Log
from chatrooms.metrics import Metrics
from chatrooms.options import Options
from chatrooms.personal.notifications import Notifications
from chatrooms.personal.personal import Personal
from chatrooms.replies.in_rooms import RoomReplies
from chatrooms.replies.jobs import Replies
from chatrooms.replies.queue import ReplyRights
from chatrooms.replies.store import ReplyStore
from chatrooms.rooms.admission import Admission
from chatrooms.rooms.audit import Acts, Audit
from chatrooms.rooms.ingest import Ingest
from chatrooms.rooms.invites import Invites
from chatrooms.rooms.memberships import Memberships
from chatrooms.rooms.message import MessageQueries
from chatrooms.rooms.messages import Messages
from chatrooms.rooms.moderation import Moderation
from chatrooms.rooms.orders import Orders
from chatrooms.rooms.policy import Policy
from chatrooms.rooms.remote import RemotePresence
from chatrooms.rooms.rooms import Rooms
from chatrooms.rooms.settings import Directory, RoomSettings
from chatrooms.sessions.outbox import Outbox
from chatrooms.sessions.owners import Owners, StreamStats
from chatrooms.sessions.sessions import Sessions
from chatrooms.streams.channel_orders import ChannelOrders
from chatrooms.streams.channels import ChannelIds, Channels
from chatrooms.streams.hub import LONGEST_RETRY, Hub
from chatrooms.streams.reading import Common
from chatrooms.streams.resume import Replacements
from chatrooms.tasks.export import Exports
from chatrooms.tasks.jobs import Tasks
from chatrooms.tasks.result import Results
from chatrooms.tasks.store import TaskStore
from chatrooms.tasks.task import TaskStreams
from chatrooms.users.accounts import Accounts
from chatrooms.users.authenticator import Authenticator
from chatrooms.users.quotas import Quotas
from chatrooms.users.signins import SignIns
from chatrooms.users.tokens import MIN_SECRET_BYTES, Tokens, load

log = logging.getLogger(__name__)


class Parts:
    """All that one server consists of; nothing of it lives in a module, so several fit in one process.

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
        self._closing = AsyncExitStack()

    async def open(self) -> None:
        """Makes and opens everything, or leaves nothing open. Raises ConfigError, Unavailable."""
        async with AsyncExitStack() as closing:
            await self._open(closing)
            self._closing = closing.pop_all()

    async def close(self) -> None:
        """Closes everything; what waits to be committed is."""
        await self._closing.aclose()
        self._folder.close()

    async def _open(self, closing: AsyncExitStack) -> None:
        options = self.options
        self.database = database_of(options.database_url, self.data_dir)
        await self.database.open()
        closing.push_async_callback(self.database.close)
        self.hub = Hub(options.heartbeat, options.write_timeout, options.max_streams, options.max_streams_per_user)
        self.nodes = Nodes(bus_of(options.bus_url, options.database_url))
        closing.push_async_callback(self.nodes.close)  # after the log, whose last events are told
        self.log = Log(self.database, self.hub.publish, self._tell_health, self.nodes.ring)
        self.log.on_renewal = self._begin_anew
        await self.log.open()
        closing.push_async_callback(self.log.close)
        self.hub.start(self.log)
        closing.callback(self.hub.stop)
        await self._open_rooms()
        await self._open_people(closing)
        self._open_personal(closing)
        self._open_sessions(closing)
        await self._open_replies(closing)
        await self._open_tasks(closing)
        await self._meet_nodes(closing)
        self.ingest = await self._open_ingest(closing)
        self.metrics = Metrics(self.hub, self.log, self.rooms, self.channels, self.replies, self.ingest)

    async def _open_rooms(self) -> None:
        options, stored = self.options, MessageQueries(self.database)
        self.rooms = Rooms(self.hub, self.log, stored, options)
        self.quotas = Quotas(options)
        self.messages = Messages(self.log, stored, self.quotas, options)
        self.orders = Orders(self.log, self.hub, self.rooms, self.nodes.name)
        self.policy = Policy(self.database, self.rooms)
        self.directory = Directory(self.database, self.rooms, self.policy)
        acts = Acts(self.log, options)
        self.room_settings = RoomSettings(acts, self.rooms, self.quotas)
        self.moderation = Moderation(acts, self.hub, self.database)
        self.invites = Invites(acts, self.database)
        self.audit = Audit(self.database, self.log)
        self.authenticator = Authenticator(self.database, self.log, self.hub, self.tokens)
        await self.authenticator.reload()
        self.admission = Admission(self.rooms, self.policy, self.quotas, self.authenticator)
        ids = ChannelIds(self.nodes.name, self._secret)
        self.channels = Channels(self.hub, self.rooms, self.admission, ids, options)
        self.channel_orders = ChannelOrders(self.log, self.hub, self.channels, self.database, ids, self.nodes.name)

    async def _open_people(self, closing: AsyncExitStack) -> None:
        self.signins = SignIns(self.database, self.log, self.tokens, self._secret, self.options)
        self.accounts = Accounts(
            self.database, self.log, self.signins, self._secret, self.options, self.rooms.names.shows
        )
        closing.callback(self.accounts.close)
        await self.accounts.open()

    def _open_personal(self, closing: AsyncExitStack) -> None:
        self.memberships = Memberships(self.hub, self.log, self.quotas, self.options)
        closing.push_async_callback(self.memberships.close)
        self.rooms.on_joined = self.memberships.note
        common = Common(self.hub, self.log, self.options.heartbeat, Replacements())
        self.personal = Personal(common, self.database, self.rooms)
        closing.callback(self.personal.close)
        self.notifications = Notifications(common, self.options)

    def _open_sessions(self, closing: AsyncExitStack) -> None:
        self.owners = Owners(self.database, self.log, self.hub, self.quotas, self.options)
        self.sessions = Sessions(self.database, self.log, self.hub, self.owners, self.options)
        self.stream_stats = StreamStats(self.hub, self.policy, self.owners)
        self.outbox = Outbox(self.database, self.log, self.owners, self.options)
        self.nodes.on_rows = self.outbox.wake
        self.outbox.open()
        closing.push_async_callback(self.outbox.close)

    async def _open_replies(self, closing: AsyncExitStack) -> None:
        options = self.options
        self.lease = Lease()
        self.replies = Replies(ReplyStore(self.database, self.log, self.lease), provider(options), options)
        self.room_replies = RoomReplies(self.replies, self.rooms, self.messages, self.log, self.quotas, self.nodes.ask)
        self.reply_rights = ReplyRights(self.policy, self.messages, self.quotas)
        self.reply_readers = Places(options.max_streams, options.max_streams_per_user)
        self.hub.listen(CONTROL, self.replies.apply)
        # Where the data folder is locked, no other node can be alive.
        await self.replies.open(alone=not self.database.shared)
        closing.push_async_callback(self.room_replies.close)
        closing.push_async_callback(self.replies.close)

    async def _open_tasks(self, closing: AsyncExitStack) -> None:
        self.tasks = Tasks(TaskStore(self.database, self.log, self.lease, self.options))
        self.task_streams = TaskStreams(self.hub, self.log)
        self.results = Results(self.database, self.options)
        self.exports = Exports(self.tasks, self.results, self.log, MessageQueries(self.database), self.options)
        self.hub.listen(CONTROL, self.tasks.apply)
        await self.tasks.open(alone=not self.database.shared)
        closing.push_async_callback(self.tasks.close)

    async def _meet_nodes(self, closing: AsyncExitStack) -> None:
        self.nodes.on_message, self.nodes.on_health = self.room_replies.on_message, self._tell_bus_health
        self.nodes.on_ask = self.room_replies.greet
        self.rooms.on_ephemeral = self.nodes.send
        self.remote_presence = RemotePresence(self.database, self.nodes, self.rooms) if self.database.shared else None
        await self.nodes.open(self.log)
        if self.remote_presence is not None:
            self.remote_presence.on_arrival = self.room_replies.greet
            await self.remote_presence.open()
            closing.push_async_callback(self.remote_presence.close)

    async def _open_ingest(self, closing: AsyncExitStack) -> Ingest | None:
        subject = self.options.nats_ingest
        if subject is None:
            return None
        ingest = Ingest(intake_of(self.options.bus_url, subject), self.messages, self.room_replies.consider)
        closing.push_async_callback(ingest.close)
        await ingest.open()
        return ingest

    @property
    def healthy(self) -> bool:
        """Whether database and bus are there."""
        return self.log.healthy and self.nodes.healthy

    def _tell_health(self, healthy: bool) -> None:
        """Streams stay open while the database is away, and say so."""
        self._tell_status(healthy, "The database does not accept writes.")

    def _tell_bus_health(self, healthy: bool) -> None:
        if healthy and self.remote_presence is not None:
            self.remote_presence.refresh()
        self._tell_status(healthy, "The bus is unavailable: messages from other nodes may be up to a second late.")

    def _tell_status(self, healthy: bool, reason: str) -> None:
        self.hub.broadcast("status", {"degraded": not healthy, "reason": "" if healthy else reason})

    def _begin_anew(self) -> None:
        """The database is not what it was: what was remembered of it is forgotten, and readers come back."""
        self.hub.forget()
        self.policy.forget_all()
        self.messages.forget_rooms()
        self.memberships.forget()
        self.owners.forget()
        self.authenticator.stale = True
        for stream in list(self.hub.streams):
            stream.end("restored", True, LONGEST_RETRY)


def check_secret(secret: str, loopback: bool) -> None:
    """Warns of a short secret on loopback; raises ConfigError for it elsewhere."""
    if len(secret.encode()) >= MIN_SECRET_BYTES:
        return
    sentence = f"--secret is shorter than {MIN_SECRET_BYTES} bytes: tokens signed with it can be forged"
    if not loopback:
        raise ConfigError(sentence)
    log.warning("%s", sentence)
