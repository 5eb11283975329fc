"""Room streams and the personal one: GET /events, and POST /events with the same in its body (sections 3 and 6)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from chatrooms import names
from chatrooms.errors import BadRequest, Problem, TooMany, Unauthorized, Unavailable
from chatrooms.http.base import Handler
from chatrooms.http.openapi import Number, operation
from chatrooms.http.personal import ROOM_FORM, OwnStream
from chatrooms.http.streaming import STREAM, refuse_softly, stream_head, take_socket
from chatrooms.rooms.attendee import Attendee, JoinRequest
from chatrooms.streams.channels import MAX_SUBSCRIPTIONS, Refusal, Subscription
from chatrooms.streams.resume import Start
from chatrooms.streams.stream import Stream
from chatrooms.users.tokens import Identity

Text = str | int | None  # programs send numbers as they are, and null for what they have not


class StreamBody(msgspec.Struct, rename="camel"):
    """What may stand in the query of GET /events, as a body: of one stream, or of one subscription."""

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

    def request(self) -> JoinRequest:
        return JoinRequest(
            self.room_id or "", self.username or "", self.client_id or "", _text(self.user_id),
            self.last_event_id or "", _text(self.history),
        )  # fmt: skip


class EventsBody(StreamBody):
    """One stream, or several."""

    subscriptions: list[StreamBody] | None = None


QUERY = ("roomId", "username", "clientId", "userId", "lastEventId", Number("history", 0, 0, 200), "poll")
ERRORS = ("forbidden", "banned", "user-mismatch", "username-mismatch", "name-taken", "conflict")


class Added(msgspec.Struct, rename="camel"):
    stream_id: str
    keys: list[str]


class Subscribing(Handler):
    """What opening a connection and adding to one have in common."""

    async def subscription(self, body: StreamBody) -> Subscription:
        """Who wants what; who cannot be let in is told so in the stream."""
        try:
            who = await self._subscriber(body)
        except Problem as problem:
            return Subscription(body.key, body.request(), None, Refusal.of(problem))
        return Subscription(body.key, body.request(), who)

    async def _subscriber(self, body: StreamBody) -> Identity:
        if body.ticket:
            return await self.server.authenticator.redeem(body.ticket)
        token = body.token or body.access_token
        return self.server.authenticator.verify(token) if token else self.identity()


class Events(Subscribing, OwnStream):
    """Opens a room's stream, or answers a poll; by POST also several streams over one connection."""

    _body = EventsBody()

    @operation({200: STREAM}, query=QUERY, errors=ERRORS)
    async def get(self) -> None:
        """A room's stream; with none of roomId, username, clientId and token the personal one."""
        await self._open_one(self._by_query())

    @operation(
        {200: STREAM}, body=EventsBody, query=QUERY, errors=ERRORS,
        example={"subscriptions": [{"key": "a", "roomId": "lobby", "username": "Ada"}]},
    )  # fmt: skip
    async def post(self) -> None:
        """The same with its fields in the body, or `subscriptions`: several streams over this connection."""
        try:
            self._body = self.body(EventsBody)
        except Problem as problem:
            self.identity()  # 401 comes before 400
            raise problem
        if self._body.subscriptions is None:
            await self._open_one(self._by_query()._replace(**_given(self._body.request())))
        else:
            await self._open_several(self._body.subscriptions)

    async def _open_one(self, request: JoinRequest) -> None:
        who = await self.stream_identity()
        if self._asks_for_personal():
            await self.serve_personal(who, request.user_id)
            return
        request = request._replace(position=self._asked())
        admission = self.server.admission
        attendee = admission.attendee(who, request)
        try:
            start = await admission.start(who, attendee, request)
            if self._polls():
                await self._poll(who, attendee, start)
                return
            await admission.admit(who, attendee)
        except (TooMany, Unavailable) as problem:
            if not request.position:
                raise
            self._refuse_softly(who, request.position, problem)
            return
        sock = take_socket(self)
        if sock is not None:
            self.server.rooms.open(partial(Stream, self.server.hub, sock), attendee, start, stream_head(self))

    async def _open_several(self, bodies: Sequence[StreamBody]) -> None:
        if not bodies:
            raise BadRequest("bad-field", "subscriptions is empty.")
        check_keys(bodies)
        self.server.channels.check_open()
        wanted = [await self.subscription(body) for body in bodies]
        sock = take_socket(self)
        if sock is not None:
            self.server.channels.open(sock, stream_head(self), wanted)

    async def _poll(self, who: Identity, attendee: Attendee, start: Start) -> None:
        await self.server.policy.readable(who, attendee.room_id)
        page = await self.server.rooms.poll(attendee, start)
        await self.server.policy.readable(who, attendee.room_id)  # by the rights at delivery
        self.answer(page)

    def _asks_for_personal(self) -> bool:
        """Whether the request names no room and nobody to be there."""
        body = self._body
        named = (body.room_id, body.username, body.client_id, body.token)
        return all(field is None for field in named) and not ROOM_FORM & self.request.query_arguments.keys()

    def _asked(self) -> str:
        return self.request.headers.get("Last-Event-ID", "") or self._body.last_event_id or self.query("lastEventId")

    def _credential(self, name: str) -> str:
        given: str | None = getattr(self._body, name)
        return given or super()._credential(name)

    def _by_query(self) -> JoinRequest:
        return JoinRequest(
            self.query("roomId"), self.query("username"), self.query("clientId"), self.query("userId"),
            self.query("lastEventId"), self.query("history"),
        )  # fmt: skip

    def _polls(self) -> bool:
        return (_text(self._body.poll) or self.query("poll")) in ("1", "True", "true")

    def _refuse_softly(self, who: Identity, asked: str, problem: Problem) -> None:
        """To a stream that comes back only; a poll asks again by itself."""
        if self._polls():
            raise problem
        refuse_softly(self, who, asked, problem)


class Subscriptions(Subscribing):
    """Adds to the streams of a connection that POST /events opened."""

    @operation(
        {202: Added}, body=EventsBody | list[StreamBody], errors=("not-found", "forbidden"),
        example={"key": "b", "roomId": "kitchen", "username": "Ada"},
    )  # fmt: skip
    async def post(self, stream_id: str) -> None:
        """Adds one subscription, or a list of them; `system` or `refused` in the stream is the answer.

        A key in use is replaced by its own user only.
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
        """Ends one subscription; `closing` in the stream tells when.

        The stream's id is all that is needed; who comes with a token ends only their own.
        """
        user_id = self._user_id()
        await self.server.channel_orders.check(stream_id)
        await self.server.channel_orders.remove(stream_id, names.key(key), user_id)
        self.set_status(204)

    def _user_id(self) -> str:
        """Who asks; "" for a call without a token. Raises Unauthorized for a bad one."""
        try:
            return self.identity().user_id
        except Unauthorized as problem:
            if problem.code != "token-missing":
                raise
            return ""


def check_keys(bodies: Sequence[StreamBody]) -> None:
    """Raises BadRequest for too many subscriptions, and for keys that are none or stand twice."""
    if len(bodies) > MAX_SUBSCRIPTIONS:
        raise BadRequest("bad-field", f"At most {MAX_SUBSCRIPTIONS} subscriptions are allowed.")
    for body in bodies:
        body.key = names.key(body.key)
    if len({body.key for body in bodies}) < len(bodies):
        raise BadRequest("bad-field", "Two subscriptions have the same key.")


def _text(value: Text | bool) -> str:
    return "" if value is None else str(value)


def _given(request: JoinRequest) -> dict[str, str]:
    """The fields of a request that are there."""
    return {name: value for name, value in request._asdict().items() if value}


ROUTES = [
    (r"/events", Events),
    (r"/api/streams/([^/]+)/subscriptions", Subscriptions),
    (r"/api/streams/([^/]+)/subscriptions/([^/]+)", SubscriptionOfKey),
]
