"""The parts of a server: how they are put together, opened in order, and closed in reverse."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from chatrooms.ai import provider
from chatrooms.ai.offline import quotes
from chatrooms.cluster import Lease, Listeners, Nodes
from chatrooms.cluster.bus import bus_of, intake_of
from chatrooms.cluster.bus.base import Worker
from chatrooms.datadir import Folder, stored_secret
from chatrooms.errors import ConfigError
from chatrooms.limits import Quotas
from chatrooms.log import database_of
from chatrooms.log.event import CONTROL
from chatrooms.log.log import Log
from chatrooms.options import Options
from chatrooms.personal.notifications import Notifications, NotificationStream
from chatrooms.personal.personal import Personal, PersonalStream
from chatrooms.replies import store as answers
from chatrooms.replies.in_rooms import RoomReplies, RunningReplies
from chatrooms.replies.jobs import Replies
from chatrooms.replies.store import ReplyStore
from chatrooms.replies.stream import ReplyRights, ReplyStream, ReplyTopics
from chatrooms.rooms.audit import Acts, Audit
from chatrooms.rooms.ingest import Ingest
from chatrooms.rooms.invites import Invites
from chatrooms.rooms.memberships import Memberships
from chatrooms.rooms.message import MessageQueries
from chatrooms.rooms.messages import Messages
from chatrooms.rooms.moderation import Moderation
from chatrooms.rooms.orders import OrderLog, Orders
from chatrooms.rooms.policy import Policy
from chatrooms.rooms.remote import PresenceChanges, RemotePresence, is_alive
from chatrooms.rooms.rooms import RoomListeners, Rooms
from chatrooms.rooms.settings import Directory, RoomSettings
from chatrooms.rooms.stream import RoomStream
from chatrooms.server import erasure
from chatrooms.server.metrics import Metrics
from chatrooms.sessions.outbox import Outbox
from chatrooms.sessions.owners import Owners, StreamStats
from chatrooms.sessions.sessions import Sessions, SessionStream
from chatrooms.streams.channel_orders import ChannelOrders
from chatrooms.streams.channels import Channels
from chatrooms.streams.hub import LONGEST_RETRY, Hub
from chatrooms.streams.opening import Family, Opener
from chatrooms.streams.resume import Admission
from chatrooms.streams.shared import ChannelIds
from chatrooms.streams.sockets import Compressor
from chatrooms.tasks.export import Exports
from chatrooms.tasks.jobs import Tasks, TaskStream
from chatrooms.tasks.result import Results
from chatrooms.tasks.store import TaskStore
from chatrooms.users.accounts import Accounts
from chatrooms.users.authenticator import Authenticator
from chatrooms.users.signins import SignIns
from chatrooms.users.tokens import MIN_SECRET_BYTES, Tokens, load

log = logging.getLogger(__name__)


class Parts:
    """Everything one server consists of. There is no module-level state, so several fit in one process.

    One of several workers leaves the data folder to its supervisor, which holds it. Raises ConfigError when the
    data folder is in use or the secret is too short to be safe.
    """

    def __init__(self, options: Options, data_dir: Path | None, worker: Worker | None = None) -> None:
        self.options = options
        self._worker = worker
        self._folder = Folder(data_dir, needed=not options.database_url and worker is None)
        self.data_dir = self._folder.path
        secret = options.secret or stored_secret(self.data_dir)
        check_secret(secret, options.loopback)
        self._secret = secret
        public = load(options.jwt_algorithm, Path(options.jwt_keys)) if options.jwt_algorithm else None
        self.tokens = Tokens(secret, public, options.jwt_audience, options.jwt_issuer)
        self.admission = Admission()
        self._closing = AsyncExitStack()

    async def open(self) -> None:
        """Builds and opens everything, or leaves nothing open. Raises ConfigError, StartFailure, Unavailable."""
        async with AsyncExitStack() as closing:
            await self._open(closing)
            self._closing = closing.pop_all()

    async def close(self) -> None:
        """Closes everything in reverse; pending writes are committed."""
        await self._closing.aclose()
        self._folder.close()

    async def _open(self, closing: AsyncExitStack) -> None:
        """Opens the log; builds all parts in one step; subscribes them to `control`; opens them."""
        await self._open_log(closing)
        self._make_rooms()
        self._make_users()
        self._make_personal()
        self._make_sessions()
        self._make_replies()
        self._make_tasks()
        self._make_streams()
        self._make_edges()
        self._listen()
        await self._open_parts(closing)

    async def _open_log(self, closing: AsyncExitStack) -> None:
        options, worker = self.options, self._worker
        self.database = database_of(options.database_url, self.data_dir, shared=worker is not None)
        await self.database.open()
        closing.push_async_callback(self.database.close)
        self.hub = Hub(options.heartbeat, options.write_timeout, options.max_streams, options.max_streams_per_user)
        self.nodes = Nodes(bus_of(options.bus_url, options.database_url, worker), worker.name if worker else "")
        closing.push_async_callback(self.nodes.close)  # after the log, whose last events are still announced
        self.log = Log(self.database, self.hub.publish, self._on_database_health, self.nodes.ring, self._begin_anew)
        await self.log.open()
        closing.push_async_callback(self.log.close)
        self.hub.start(self.log)
        closing.callback(self.hub.stop)

    def _make_rooms(self) -> None:
        options, stored = self.options, MessageQueries(self.database)
        self.quotas = Quotas(options)
        self.memberships = Memberships(self.log, self.quotas, options)
        self.running_replies = RunningReplies(self.hub, self.nodes)
        self.order_log = OrderLog(self.log, self.nodes.name)
        self.presence_changes = PresenceChanges()
        listeners = RoomListeners(
            state=self.running_replies.state_of,
            on_presence=self.presence_changes.note if self.database.shared else _ignore,
            on_joined=self.memberships.note,
            on_replaced=self.order_log.replaced,
            on_ephemeral=self.nodes.send,
        )
        self.rooms = Rooms(self.hub, self.log, stored, options, listeners)
        self.messages = Messages(self.log, stored, self.quotas, options, answers, quotes)
        self.orders = Orders(self.order_log, self.hub, self.rooms)
        self.policy = Policy(self.database, self.rooms)
        self.directory = Directory(self.database, self.rooms, self.policy)
        acts = Acts(self.log, self.quotas, options)
        self.room_settings = RoomSettings(acts, self.rooms, self.quotas)
        self.moderation = Moderation(acts, self.hub, self.database)
        self.invites = Invites(acts, self.database)
        self.audit = Audit(self.database, self.log)

    def _make_users(self) -> None:
        self.authenticator = Authenticator(self.database, self.log, self.hub, self.tokens)
        self.signins = SignIns(self.database, self.log, self.tokens, self._secret, self.options)
        self.accounts = Accounts(
            self.database, self.log, self.signins, self._secret, self.options, self.rooms.names.shows, erasure
        )

    def _make_personal(self) -> None:
        self.personal = Personal(self.hub, self.log, self.database, self.rooms)
        self.notifications = Notifications(self.log, self.options)

    def _make_sessions(self) -> None:
        self.owners = Owners(self.database, self.log, self.quotas, self.options)
        self.sessions = Sessions(self.database, self.log, self.hub, self.owners, self.quotas, self.options)
        self.stream_stats = StreamStats(self.hub, self.policy, self.owners, self._worker)
        self.outbox = Outbox(self.database, self.log, self.owners, self.options)

    def _make_replies(self) -> None:
        options = self.options
        self.lease = Lease()
        self.replies = Replies(ReplyStore(self.database, self.log, self.lease), provider(options), options)
        self.room_replies = RoomReplies(
            self.replies, self.running_replies, self.rooms, self.messages, self.log, self.quotas
        )
        self.reply_rights = ReplyRights(self.policy, self.messages, self.quotas)
        self.reply_topics = ReplyTopics(self.hub, self.replies, self.reply_rights)

    def _make_tasks(self) -> None:
        self.tasks = Tasks(TaskStore(self.database, self.log, self.lease, self.options))
        self.results = Results(self.database, self.options)
        self.exports = Exports(self.tasks, self.results, self.log, MessageQueries(self.database), self.options)

    def _make_streams(self) -> None:
        hub, log = self.hub, self.log
        families: dict[str, Family] = {
            "room": partial(RoomStream, self.rooms, self.policy),
            "personal": partial(PersonalStream, self.personal),
            "notifications": partial(NotificationStream, hub, log),
            "session": partial(SessionStream, self.sessions, hub, log),
            "task": partial(TaskStream, self.tasks, hub, log),
            "reply": partial(ReplyStream, self.reply_topics),
        }
        self.compressor = Compressor() if self.options.compress else None
        self.opener = Opener(hub, log, self.authenticator, self.quotas, self.admission, families)
        ids, alive = ChannelIds(self.nodes.name, self._secret), partial(is_alive, self.database)
        self.channels = Channels(hub, self.opener, ids, self.options)
        self.channel_orders = ChannelOrders(log, self.channels, ids, self.nodes.name, alive)

    def _make_edges(self) -> None:
        """What connects this server to others, and its metrics."""
        self.remote_presence = RemotePresence(
            self.database, self.nodes, self.rooms, self.presence_changes, self.running_replies.greet
        )
        subject, self.ingest = self.options.nats_ingest, None
        if subject is not None:
            intake = intake_of(self.options.bus_url, subject)
            self.ingest = Ingest(intake, self.messages, self.room_replies.consider)
        self.metrics = Metrics(self.hub, self.log, self.rooms, self.channels, self.replies, self.ingest, self._worker)

    def _listen(self) -> None:
        """Subscribes to the topic `control`: each event, of this node and of others, goes to these in this order."""
        for listener in (
            self.orders.apply, self.policy.apply, self.authenticator.apply, self.channel_orders.apply,
            self.memberships.apply, self.personal.inboxes.apply, self.owners.apply, self.sessions.apply,
            self.replies.apply, self.tasks.apply,
        ):  # fmt: skip
            self.hub.listen(CONTROL, listener)

    async def _open_parts(self, closing: AsyncExitStack) -> None:
        alone = self._alone
        await self.authenticator.reload()
        closing.callback(self.accounts.close)
        await self.accounts.open()
        closing.push_async_callback(self.memberships.close)
        closing.callback(self.personal.close)
        self.outbox.open()
        closing.push_async_callback(self.outbox.close)
        await self.replies.open(alone)
        closing.push_async_callback(self.room_replies.close)
        closing.push_async_callback(self.reply_topics.close)
        closing.push_async_callback(self.replies.close)
        await self.tasks.open(alone)
        closing.push_async_callback(self.tasks.close)
        await self.nodes.open(self.log, self._node_listeners())
        if self.database.shared:
            if self._worker is not None:
                self.on_nodes_ended(*self._worker.ended)
            await self.remote_presence.open(alone)
            closing.push_async_callback(self.remote_presence.close)
        if self.ingest is not None:
            closing.push_async_callback(self.ingest.close)
            await self.ingest.open()

    @property
    def _alone(self) -> bool:
        """Whether no other node can be alive: the data folder is locked, and no other worker runs."""
        return not self.options.database_url and (self._worker is None or self._worker.alone)

    def on_nodes_ended(self, *nodes: str) -> None:
        """The processes of these nodes have ended: their members leave as if their streams had just closed."""
        for node in nodes:
            self.remote_presence.on_ended(node, self.options.leave_grace)

    def _node_listeners(self) -> Listeners:
        """Subscriptions to the bus. Nodes of other databases may share it: presence is heard only on a shared one."""
        shared = self.database.shared
        return Listeners(
            on_frame=self.running_replies.on_frame,
            on_members=self.remote_presence.on_members if shared else _ignore,
            on_dead=self.remote_presence.drop if shared else _ignore,
            on_rows=self.outbox.wake,
            on_ask=self.running_replies.greet,
            on_health=self._on_bus_health,
        )

    @property
    def healthy(self) -> bool:
        """Whether both the database and the bus are available."""
        return self.log.healthy and self.nodes.healthy

    def _on_database_health(self, healthy: bool) -> None:
        """Streams stay open while the database is unavailable, and say so."""
        self._broadcast_status(healthy, "The database does not accept writes.")

    def _on_bus_health(self, healthy: bool) -> None:
        if healthy:
            self.remote_presence.refresh()
        self._broadcast_status(healthy, "The bus is unavailable: messages from other nodes may be up to a second late.")

    def _broadcast_status(self, healthy: bool, reason: str) -> None:
        self.hub.broadcast("status", {"degraded": not healthy, "reason": "" if healthy else reason})

    def _begin_anew(self) -> None:
        """The database has lost events: drops everything remembered of it and makes readers reconnect."""
        self.hub.forget()
        self.policy.forget_all()
        self.messages.forget_rooms()
        self.memberships.forget()
        self.owners.forget()
        self.authenticator.forget()
        for stream in list(self.hub.streams):
            if stream.topic.in_log:
                stream.end("restored", True, LONGEST_RETRY)


def check_secret(secret: str, loopback: bool) -> None:
    """Warns of a short secret on loopback; raises ConfigError for it elsewhere."""
    if len(secret.encode()) >= MIN_SECRET_BYTES:
        return
    sentence = f"--secret is shorter than {MIN_SECRET_BYTES} bytes: tokens signed with it can be forged"
    if not loopback:
        raise ConfigError(sentence)
    log.warning("%s", sentence)


def _ignore(*_: object) -> None:
    """Takes the place of a listener where there are no other nodes."""
