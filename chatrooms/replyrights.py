"""Who may read, write, stop and repeat AI replies.

The one place that knows: rooms are open to everybody so far, and moderated by `service` and `admin`.
Rules of rooms belong into the three methods of `RoomRights`.
"""

from __future__ import annotations

from typing import Protocol

from chatrooms.errors import Forbidden, NotFound
from chatrooms.reply import Reply
from chatrooms.tokens import Identity


class RoomRights(Protocol):
    """What somebody may do in a room."""

    async def check_read(self, who: Identity, room_id: str) -> None:
        """Raises Forbidden."""

    async def check_write(self, who: Identity, room_id: str) -> None:
        """Raises Forbidden."""

    async def moderates(self, who: Identity, room_id: str) -> bool: ...


class OpenRooms:
    """Everybody may read and write; who is trusted moderates."""

    async def check_read(self, who: Identity, room_id: str) -> None:
        pass

    async def check_write(self, who: Identity, room_id: str) -> None:
        pass

    async def moderates(self, who: Identity, room_id: str) -> bool:
        return who.trusted


class ReplyRights:
    """A private reply is its author's; one in a room is read by the room, and ended by its moderators too."""

    def __init__(self, rooms: RoomRights) -> None:
        self.rooms = rooms

    async def check_read(self, who: Identity, reply: Reply) -> None:
        """Raises NotFound for private replies of others, Forbidden for those in rooms closed to one."""
        if reply.row.room_id is not None:
            await self.rooms.check_read(who, reply.row.room_id)
        elif reply.row.user_id != who.user_id and not who.trusted:
            raise NotFound("not-found", "There is no such reply.")

    async def check_change(self, who: Identity, reply: Reply) -> None:
        """Whether somebody may stop it or have it written anew. Raises NotFound, Forbidden."""
        await self.check_read(who, reply)
        if reply.row.user_id == who.user_id or who.trusted:
            return
        if reply.row.room_id is None or not await self.rooms.moderates(who, reply.row.room_id):
            raise Forbidden("not-author", "Only who asked or a moderator may do that.")
