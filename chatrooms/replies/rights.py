"""Who may read, stop and repeat AI replies."""

from __future__ import annotations

from chatrooms.errors import Forbidden, NotFound
from chatrooms.identity.quotas import Quotas
from chatrooms.identity.tokens import Identity
from chatrooms.replies.reply import Reply
from chatrooms.rooms.messages import Messages
from chatrooms.rules.rulebook import Rulebook
from chatrooms.rules.rules import Rank


class ReplyRights:
    """A private reply is its author's; one in a room is read by the room, and ended by its moderators too."""

    def __init__(self, rulebook: Rulebook, messages: Messages, quotas: Quotas) -> None:
        self._rulebook = rulebook
        self._messages = messages
        self._quotas = quotas

    async def check_read(self, who: Identity, reply: Reply) -> None:
        """Raises NotFound for private replies of others, Forbidden for those in rooms closed to one."""
        if reply.row.room_id is not None:
            await self._rulebook.readable(who, reply.row.room_id)
        elif reply.row.user_id != who.user_id and not who.trusted:
            raise NotFound("not-found", "There is no such reply.")

    async def check_stop(self, who: Identity, reply: Reply) -> None:
        """Raises NotFound; Forbidden for others than the author and moderators."""
        await self.check_read(who, reply)
        if reply.row.user_id == who.user_id or who.trusted:
            return
        assert reply.row.room_id is not None
        rules = await self._rulebook.of(reply.row.room_id, who.user_id)
        if rules.rank(who) < Rank.MODERATOR:
            raise Forbidden("not-author", "Only who asked or a moderator may do that.")

    async def check_repeat(self, who: Identity, reply: Reply) -> None:
        """As `check_stop`; in a room one must be allowed to write, too."""
        await self.check_stop(who, reply)
        if reply.row.room_id is not None:
            await self.check_ask(who, reply.row.room_id)

    async def check_ask(self, who: Identity, room_id: str) -> None:
        """Lets somebody have the assistant speak in a room: that counts as a message of theirs.

        Raises Forbidden for those who may not write there; TooMany `slow-mode`, and for too many new rooms.
        """
        rules = await self._rulebook.writable(who, room_id)
        await self._messages.take_turn(who, room_id, rules)
        if not rules.stored:
            self._quotas.make_room(who)
