"""GET /events: room streams and the personal one. POST /events: streams of all families (sections 3 and 6)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from chatrooms import names
from chatrooms.errors import BadRequest, Problem, Unauthorized
from chatrooms.http.base import Handler
from chatrooms.http.openapi import Number, operation
from chatrooms.http.streaming import STREAM, StreamHandler, given, take_socket
from chatrooms.streams.channels import MAX_SUBSCRIPTIONS, Refusal, Subscription
from chatrooms.streams.opening import MAX_HISTORY, Fields

ROOM, PERSONAL = "room", "personal"
# Fields that ask for a room's stream, even when empty.
ROOM_FORM = frozenset({"roomId", "username", "clientId", "token"})

Text = str | int | None  # programs send numbers as numbers, and null for what is missing


class StreamBody(msgspec.Struct, rename="camel"):
    """The query of GET /events as a body, for one stream or one subscription."""

    key: str = ""
    token: str | None = None
    access_token: str | None = msgspec.field(default=None, name="access_token")
    ticket: str | None = None
    room_id: str | None = None
    username: str | None = None
    client_id: str | None = None
    user_id: Text = None
    last_event_id: str | None = None
    history: Text = None
    poll: Text | bool = None
    stream: str | None = None
    session_id: Text = None
    robot_id: Text = None
    task_id: str | None = None
    message_id: str | None = None
    form: str | None = None

    def fields(self) -> Fields:
        """The fields that the stream is requested with."""
        return given(
            roomId=_text(self.room_id), username=_text(self.username), clientId=_text(self.client_id),
            userId=_text(self.user_id), history=_text(self.history), sessionId=_text(self.session_id),
            robotId=_text(self.robot_id), taskId=_text(self.task_id), messageId=_text(self.message_id),
            form=_text(self.form),
        )  # fmt: skip


class EventsBody(StreamBody):
    """One stream, or several."""

    subscriptions: list[StreamBody] | None = None


QUERY = ("roomId", "username", "clientId", "userId", "lastEventId", Number("history", 0, 0, MAX_HISTORY), "poll")
ERRORS = ("forbidden", "banned", "user-mismatch", "username-mismatch", "name-taken", "conflict")


class Added(msgspec.Struct, rename="camel"):
    """The streams that are being opened on a connection."""

    stream_id: str
    keys: list[str]


class Subscribing(StreamHandler):
    """Shared by opening a connection and adding to one."""

    async def subscription(self, body: StreamBody) -> Subscription:
        """The subscription that a body asks for; a refusal goes into the stream."""
        family, token = body.stream or ROOM, body.token or body.access_token or ""
        wanted = Subscription(body.key, family, body.fields(), body.last_event_id or "", None)
        try:
            return wanted._replace(who=await self.reader(family, body.ticket or "", token))
        except Problem as problem:
            return wanted._replace(refusal=Refusal.of(problem))


class Events(Subscribing):
    """Opens a room's stream, or answers a poll; POST can also open several streams on one connection."""

    _body = EventsBody()

    @operation({200: STREAM}, query=QUERY, errors=ERRORS)
    async def get(self) -> None:
        """A room stream; without roomId, username, clientId and token, the personal stream."""
        await self._open_one()

    @operation(
        {200: STREAM, 204: None}, body=EventsBody, query=QUERY, errors=(*ERRORS, "not-found"), token="optional",
        example={"subscriptions": [{"key": "a", "roomId": "lobby", "username": "Ada"}]},
    )  # fmt: skip
    async def post(self) -> None:
        """Opens one stream of any kind, or several over one connection with `subscriptions`."""
        try:
            self._body = self.body(EventsBody)
        except Problem as problem:
            self.identity()  # 401 comes before 400
            raise problem
        if self._body.subscriptions is None:
            await self._open_one()
        else:
            await self._open_several(self._body.subscriptions)

    async def _open_one(self) -> None:
        family = self._body.stream or (PERSONAL if self._asks_for_personal() else ROOM)
        who = await self.reader(family, self._credential("ticket"))
        query = given(
            roomId=self.query("roomId"), username=self.query("username"), clientId=self.query("clientId"),
            userId=self.query("userId"), history=self.query("history"),
        )  # fmt: skip
        await self.serve(family, who, {**query, **self._form(family), **self._body.fields()})

    def _form(self, family: str) -> Fields:
        """The default form of a personal stream: unnamed with an `access_token`; polls are named."""
        unnamed = family == PERSONAL and self._credential("access_token") and not self.polls()
        return {"form": "unnamed"} if unnamed else {}

    async def _open_several(self, bodies: Sequence[StreamBody]) -> None:
        if not bodies:
            raise BadRequest("bad-field", "subscriptions is empty.")
        check_keys(bodies)
        self.server.channels.check_open()
        wanted = [await self.subscription(body) for body in bodies]
        id, sock = self.server.channels.new_id(), take_socket(self)
        if sock is not None:
            named = (("X-Stream-Id", id), ("Access-Control-Expose-Headers", "X-Stream-Id"))
            self.server.channels.open(id, sock, self.stream_head(*named), wanted)

    def _asks_for_personal(self) -> bool:
        """Whether no field of a room's stream is given."""
        body = self._body
        named = (body.room_id, body.username, body.client_id, body.token)
        return all(field is None for field in named) and not ROOM_FORM & self.request.query_arguments.keys()

    def position_asked(self) -> str:
        """The position asked for: from the header, else the body, else the query; "" for none."""
        return self.request.headers.get("Last-Event-ID", "") or self._body.last_event_id or self.query("lastEventId")

    def polls(self) -> bool:
        return (_text(self._body.poll) or self.query("poll")) in ("1", "true", "True")

    def _credential(self, name: str) -> str:
        given: str | None = getattr(self._body, name)
        return given or super()._credential(name)


class Subscriptions(Subscribing):
    """Adds streams to a connection opened by POST /events."""

    @operation(
        {202: Added}, body=EventsBody | list[StreamBody], errors=("not-found", "forbidden"),
        example={"key": "b", "roomId": "kitchen", "username": "Ada"},
    )  # fmt: skip
    async def post(self, stream_id: str) -> None:
        """Adds one subscription or a list; the stream shows the outcome: first events or `refused`.

        Only a key's own user can replace its subscription.
        """
        await self.server.channel_orders.check(stream_id)
        bodies = self._bodies()
        check_keys(bodies)
        await self.server.channel_orders.add(stream_id, [await self.subscription(body) for body in bodies])
        self.answer({"streamId": stream_id, "keys": [body.key for body in bodies]}, 202)

    def _bodies(self) -> Sequence[StreamBody]:
        if self.request.body.lstrip()[:1] == b"[":
            return self.body(list[StreamBody])
        body = self.body(EventsBody)
        return body.subscriptions or [body]


class SubscriptionOfKey(Handler):
    """Takes one stream off a connection."""

    @operation({204: None}, errors=("not-found", "forbidden"), token="optional")
    async def delete(self, stream_id: str, key: str) -> None:
        """Ends one subscription, which gets `closing` in the stream.

        The stream's id is enough; a call with a token ends only its user's subscriptions.
        """
        user_id = self._user_id()
        await self.server.channel_orders.check(stream_id)
        await self.server.channel_orders.remove(stream_id, names.key(key), user_id)
        self.set_status(204)

    def _user_id(self) -> str:
        """The caller; "" without a token. Raises Unauthorized for a bad one."""
        try:
            return self.identity().user_id
        except Unauthorized as problem:
            if problem.code != "token-missing":
                raise
            return ""


def check_keys(bodies: Sequence[StreamBody]) -> None:
    """Raises BadRequest for too many subscriptions, and for invalid or duplicate keys."""
    if len(bodies) > MAX_SUBSCRIPTIONS:
        raise BadRequest("bad-field", f"At most {MAX_SUBSCRIPTIONS} subscriptions are allowed.")
    for body in bodies:
        body.key = names.key(body.key)
    if len({body.key for body in bodies}) < len(bodies):
        raise BadRequest("bad-field", "Two subscriptions have the same key.")


def _text(value: Text | bool) -> str:
    return "" if value is None else str(value)


ROUTES = [
    (r"/events", Events),
    (r"/api/streams/([^/]+)/subscriptions", Subscriptions),
    (r"/api/streams/([^/]+)/subscriptions/([^/]+)", SubscriptionOfKey),
]
