"""The caller: a value that every part of the server knows."""

from __future__ import annotations

from typing import NamedTuple

TRUSTED_ROLES = ("service", "admin")


class Identity(NamedTuple):
    """The caller, as identified by a token.

    `username` is None when the token leaves the name open; `expires_at` is in seconds since 1970;
    `session` names the sign-in that the token came from; a token made elsewhere is its own sign-in.
    `guest` is true for users who signed in here without a password.
    """

    user_id: str
    username: str | None
    role: str
    expires_at: float
    session: str
    guest: bool = False

    @property
    def trusted(self) -> bool:
        """Whether this is a program or an operator rather than a person who chats."""
        return self.role in TRUSTED_ROLES
