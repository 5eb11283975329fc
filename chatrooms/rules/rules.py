"""The rules of a room: who may read it, write in it and moderate it. Pure.

Times are in milliseconds since 1970. Who bears a token of role `service` or `admin` is above the
rules of every room.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

import msgspec

from chatrooms.errors import Forbidden
from chatrooms.identity.tokens import Identity

FOREVER = float("inf")

Until = Mapping[str, float]  # user id to the time when it ends


class Rank(IntEnum):
    """What somebody is in a room. One may act against those of a lower rank only."""

    NONE = 0
    MEMBER = 1
    MODERATOR = 2
    OWNER = 3
    TRUSTED = 4


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of one room for the users that were asked for; the defaults are those of any room.

    stored     whether the room is in the database: somebody made it, or it has had messages; the first
               message changes no rules, so that rules at hand may still say no
    owner      None for a room that was made by use
    peopled    whether anybody is its member, banned or muted; if nobody, the rules are the same for all users
    roles      members and moderators among those asked for; the owner is not among them
    slow_mode  seconds between two messages of one user; 0 turns it off
    """

    stored: bool = False
    private: bool = False
    title: str | None = None
    slow_mode: float = 0.0
    owner: str | None = None
    peopled: bool = False
    roles: Mapping[str, Rank] = msgspec.field(default_factory=dict)
    bans: Until = msgspec.field(default_factory=dict)
    mutes: Until = msgspec.field(default_factory=dict)

    def rank(self, who: Identity) -> Rank:
        return Rank.TRUSTED if who.trusted else self.rank_of(who.user_id)

    def rank_of(self, user_id: str) -> Rank:
        """The rank of a user whose token is not known."""
        if user_id == self.owner:
            return Rank.OWNER
        return self.roles.get(user_id, Rank.NONE)

    def banned(self, user_id: str, now: float) -> bool:
        return self.bans.get(user_id, 0) > now

    def may_read(self, who: Identity, now: float) -> bool:
        if who.trusted:
            return True
        if self.bans and self.banned(who.user_id, now):
            return False
        return not self.private or self.rank_of(who.user_id) >= Rank.MEMBER

    def check_read(self, who: Identity, now: float) -> None:
        """Raises Forbidden `banned`, or `forbidden` where only members may read."""
        if not self.may_read(who, now):
            self.check_not_banned(who, now)
            raise forbidden()

    def check_not_banned(self, who: Identity, now: float) -> None:
        if not who.trusted and self.banned(who.user_id, now):
            raise Forbidden("banned", "You are banned from this room.")

    def check_write(self, who: Identity, now: float) -> None:
        """Raises Forbidden `banned`, `forbidden` or `muted`."""
        self.check_read(who, now)
        if self.mutes and self.mutes.get(who.user_id, 0) > now and not who.trusted:
            raise Forbidden("muted", "You are muted in this room.")

    def check_rank(self, who: Identity, needed: Rank) -> None:
        """Raises Forbidden for those below a rank."""
        if self.rank(who) < needed:
            raise forbidden()

    def pace(self, who: Identity) -> float:
        """Seconds that must lie between two messages of that user; 0 for moderators."""
        return 0.0 if not self.slow_mode or self.rank(who) >= Rank.MODERATOR else self.slow_mode


def forbidden() -> Forbidden:
    """The one refusal that says nothing about the room, not even whether it exists."""
    return Forbidden("forbidden", "That is not allowed.")
