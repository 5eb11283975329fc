"""A message of a room: as the log keeps it, as somebody wants to say it, and pages of them. Pure."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class RoomMessage(msgspec.Struct, rename="camel", omit_defaults=True):
    """The data of a `room-message` (section 3), without its id. Times in milliseconds since 1970.

    Of an AI reply: `message_id` is the reply's, `state` how it ended when it is not complete.
    """

    room_id: str
    user_id: str
    username: str
    message: str
    timestamp: int
    client_message_id: str | None = None
    is_from_bot: bool = False
    guest: bool = False
    message_id: str | None = None
    state: str | None = None
    stopped_by: str | None = None
    edited_at: int | None = None
    deleted_at: int | None = None


class Draft(NamedTuple):
    """What a client wants to say; `client_message_id` makes saying it again harmless."""

    text: str
    client_message_id: str | None


class Posted(NamedTuple):
    """A message in the log as JSON, and whether it had been there before."""

    data: bytes
    repeated: bool


class Page(NamedTuple):
    """Some messages as JSON, oldest first, and whether there are more in the direction asked."""

    messages: list[bytes]
    has_more: bool


def decoded(data: bytes) -> RoomMessage:
    """The message in its row of the log."""
    return msgspec.json.decode(data, type=RoomMessage)


def fitting(messages: list[bytes], most: int) -> list[bytes]:
    """The first messages that fit into a page of so many bytes; one always does."""
    size = 0
    for number, message in enumerate(messages):
        size += len(message)
        if number and size > most:
            return messages[:number]
    return messages
