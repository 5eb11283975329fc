"""The members of a room. A member is one (userId, username), however many streams it has.

Presence is not in the log: joins and leaves are ephemerals, and readers that may have missed some get the
present state.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice

import msgspec

from chatrooms import sse
from chatrooms.clock import now_ms
from chatrooms.names import skeletons

LISTED = 200  # members listed in `system` and `presence`
CALM = 0.9  # a large room counts as small again below this fraction of the limit
PRESENCE_INTERVAL = 1.0  # seconds between `presence` events of a large room
POLL_HOLD = 30.0  # seconds for which a poll counts as presence (wire contract, section 3)

Key = tuple[str, str]


class Member:
    """One person in one room: the number of open streams, and the leave timer while there is none.

    here   whether it is in the room on this node
    nodes  the other nodes on which it is, too
    guest  whether it has only ever come as a guest
    """

    __slots__ = ("guest", "here", "key", "leaving", "listed", "nodes", "polling", "streams")

    def __init__(self, key: Key, guest: bool = False) -> None:
        self.key = key
        self.guest = guest
        self.streams = 0
        self.here = False
        self.nodes: frozenset[str] = frozenset()
        self.listed = False
        self.leaving: asyncio.TimerHandle | None = None
        self.polling: asyncio.TimerHandle | None = None

    def described(self) -> dict[str, object]:
        """The member as sent to clients; `guest` is present only for guests."""
        user_id, username = self.key
        return {"userId": user_id, "username": username, **as_guest(self.guest)}


class Names:
    """What the names of registered users in rooms look like, counted: no guest may take a name that looks the same."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def note(self, name: str, here: bool) -> None:
        """A user of that name has entered a room (`here`) or left it."""
        for skeleton in skeletons(name):
            self._seen[skeleton] += 1 if here else -1
            if not self._seen[skeleton]:
                del self._seen[skeleton]

    def shows(self, name: str) -> bool:
        """Whether a present name looks like this one."""
        return any(skeleton in self._seen for skeleton in skeletons(name))


class Presence:
    """The members of one room.

    `announce` gives a frame to the room's streams of this node; `emptied` is called when the last
    member left; `report` is told who came to this node (True) or left it; `name` of each name of somebody
    who is no guest, when it comes (True) and goes. `nodes` counts the members on each other node,
    `elsewhere` by user the places on other nodes, of all rooms that share it.
    """

    def __init__(
        self, room_id: str, limit: int, announce: Callable[[bytes], None], emptied: Callable[[], None],
        report: Callable[[Key, bool], None] = lambda key, here: None, elsewhere: Counter[str] | None = None,
        name: Callable[[str, bool], None] = lambda name, here: None,
    ) -> None:  # fmt: skip
        self._room_id = room_id
        self._limit = limit
        self._announce = announce
        self._emptied = emptied
        self._report = report
        self._name = name
        self.nodes: Counter[str] = Counter()
        self._elsewhere: Counter[str] = Counter() if elsewhere is None else elsewhere
        self._members: dict[Key, Member] = {}
        self._by_user: dict[str, tuple[Member, ...]] = {}  # one, unless a user uses several names
        self._listed: bytes | None = None
        self._announced = b""
        self._large = False
        self._due: asyncio.TimerHandle | None = None

    @property
    def count(self) -> int:
        return len(self._members)

    def enter(self, user_id: str, username: str, returns: bool = False, guest: bool = False) -> Member:
        """Counts one more stream of a member; the first one is a join.

        One that `returns` to a server that has just started never left, for the others: they are
        told the state instead.
        """
        key = (user_id, username)
        member = self._find_and_update(key, guest) or self._add(key, returns, guest)
        if not member.here:
            member.here = True
            self._report(key, True)
        if member.leaving is not None:
            member.leaving.cancel()
            member.leaving = None
        member.streams += 1
        return member

    def release(self, member: Member, hold: float) -> None:
        """Counts one stream less; a member without streams leaves after `hold` seconds."""
        member.streams -= 1
        if member.streams == 0 and self._members.get(member.key) is member:
            if hold > 0:
                member.leaving = asyncio.get_running_loop().call_later(hold, self.leave, member)
            else:
                self.leave(member)

    def poll(self, user_id: str, username: str, guest: bool = False) -> Member:
        """Counts a poll as a stream that lasts POLL_HOLD."""
        member = self.enter(user_id, username, guest=guest)
        if member.polling is not None:
            member.polling.cancel()
            member.streams -= 1
        member.polling = asyncio.get_running_loop().call_later(POLL_HOLD, self.end_poll, member)
        return member

    def end_poll(self, member: Member) -> None:
        """Undoes what `poll` counted; harmless when there is nothing to undo."""
        if member.polling is not None:
            member.polling.cancel()
            member.polling = None
            self.release(member, 0)

    def leave(self, member: Member) -> None:
        """Removes a member without streams at once."""
        if member.leaving is not None:
            member.leaving.cancel()
            member.leaving = None
        if member.streams or not member.here or self._members.get(member.key) is not member:
            return
        member.here = False
        self._report(member.key, False)
        if not member.nodes:
            self._remove(member)

    def enter_elsewhere(self, key: Key, node: str, guest: bool = False) -> None:
        """Notes that a member is on another node."""
        member = self._find_and_update(key, guest) or self._add(key, False, guest)
        if node not in member.nodes:
            member.nodes |= {node}
            self.nodes[node] += 1
            self._elsewhere[key[0]] += 1

    def leave_elsewhere(self, key: Key, node: str) -> None:
        """Notes that a member has left another node; it leaves the room if it is nowhere else."""
        member = self._members.get(key)
        if member is None or node not in member.nodes:
            return
        member.nodes -= {node}
        for counter, name in ((self.nodes, node), (self._elsewhere, key[0])):
            counter[name] -= 1
            if not counter[name]:
                del counter[name]
        if not member.nodes and not member.here:
            self._remove(member)

    def on_node(self, node: str) -> set[Key]:
        """The members that are on another node."""
        if node not in self.nodes:
            return set()
        return {key for key, member in self._members.items() if node in member.nodes}

    def is_elsewhere(self, user_id: str) -> bool:
        """Whether a user is in the room on another node."""
        return any(member.nodes for member in self.find(user_id))

    def here(self) -> list[Key]:
        """The members that are on this node."""
        return [key for key, member in self._members.items() if member.here]

    def is_guest(self, key: Key) -> bool:
        """Whether a member is a guest."""
        member = self._members.get(key)
        return member is not None and member.guest

    def end_guest(self, key: Key) -> None:
        """A guest has signed up while its streams stay open: others learn that it is no longer a guest."""
        self._find_and_update(key, False)

    def _find_and_update(self, key: Key, guest: bool) -> Member | None:
        """The member of that key, if there is one; marks a guest that has signed up as a guest no longer."""
        member = self._members.get(key)
        if member is not None and member.guest and not guest:
            member.guest = False
            self._listed = None
            self._name(key[1], True)
            self._schedule_state()
            if member.here:
                self._report(key, True)
        return member

    def _add(self, key: Key, returns: bool, guest: bool) -> Member:
        member = self._members[key] = Member(key, guest)
        self._by_user[key[0]] = (*self.find(key[0]), member)
        if not guest:
            self._name(key[1], True)
        if self.count <= LISTED:
            self._listed = None
        if returns:
            self._schedule_state()
        else:
            self._announce_member("user-joined", member)
        return member

    def _remove(self, member: Member) -> None:
        del self._members[member.key]
        user_id = member.key[0]
        others = tuple(other for other in self._by_user.pop(user_id) if other is not member)
        if others:
            self._by_user[user_id] = others
        if not member.guest:
            self._name(member.key[1], False)
        if member.listed:
            self._listed = None
        self._announce_member("user-left", member)
        if not self._members:
            if self._due is not None:
                self._due.cancel()
            self._emptied()

    def expel(self, user_id: str) -> None:
        """Removes a user's members without streams at once."""
        for member in self.find(user_id):
            self.end_poll(member)
            self.leave(member)

    def find(self, user_id: str) -> tuple[Member, ...]:
        """The members of a user; it may use several names."""
        return self._by_user.get(user_id, ())

    def users(self) -> set[str]:
        """The users that are members."""
        return set(self._by_user)

    def page(self, after: Key | None, limit: int) -> list[Key]:
        """The next members after one, in the order of (userId, username)."""
        keys = self._members if after is None else (key for key in self._members if key > after)
        return heapq.nsmallest(limit, keys)

    def described(self, keys: Sequence[Key]) -> list[dict[str, object]]:
        """Members as sent to clients."""
        return [self._members[key].described() for key in keys if key in self._members]

    def listed(self) -> bytes:
        """The JSON members `"members":[…]`, with `"membersTruncated":true` when there are more."""
        if self._listed is None:
            shown = list(islice(self._members.values(), LISTED))
            for member in shown:
                member.listed = True
            self._listed = b'"members":' + msgspec.json.encode([member.described() for member in shown])
        return self._listed + (b',"membersTruncated":true' if self.count > LISTED else b"")

    def snapshot(self) -> bytes:
        """The `presence` event, with the members."""
        return self._presence(b"," + self.listed())

    def _presence(self, members: bytes) -> bytes:
        room = msgspec.json.encode(self._room_id)
        return sse.encode(b'{"roomId":%b,"onlineCount":%d%b}' % (room, self.count, members), "presence")

    def _announce_member(self, event: str, member: Member) -> None:
        if self._is_large():
            self._schedule_state()
            return
        data = {
            "roomId": self._room_id, **member.described(), "timestamp": now_ms(), "onlineCount": self.count,
        }  # fmt: skip
        self._announce(sse.encode(msgspec.json.encode(data), event))

    def _schedule_state(self) -> None:
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(PRESENCE_INTERVAL, self._announce_state)

    def _announce_state(self) -> None:
        """Sends the state of a large room, with its members only if the listed ones have changed."""
        self._due = None
        listed = self.listed()
        self._announce(self._presence(b"" if listed == self._announced else b"," + listed))
        self._announced = listed

    def _is_large(self) -> bool:
        if self._limit:
            self._large = self.count > (self._limit * CALM if self._large else self._limit)
        return self._large


def as_guest(guest: bool) -> dict[str, bool]:
    """The field that marks a guest on the wire; absent for others."""
    return {"guest": True} if guest else {}
