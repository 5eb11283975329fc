"""Access tokens: JWT in, `Identity` out, and back. No I/O.

One algorithm is accepted, the one that is configured (RFC 8725, 3.1). Of a claim that stands twice
in a payload the last one counts, as in Python's json.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jwt

from chatrooms import names
from chatrooms.errors import BadRequest, Unauthorized

ROLES = ("user", "agent", "service", "admin")
ALGORITHM = "HS256"
MIN_SECRET_BYTES = 32  # RFC 7518, 3.2: a key of the hash's size or larger
MAX_TOKEN = 8192  # characters
CACHED = 10_000  # verified tokens remembered

# Header parameters that change how the rest is read (RFC 7515 4.1.11, 7516 4.1.3, 7797).
_REFUSED_HEADERS = frozenset({"crit", "zip", "b64"})


class Identity(NamedTuple):
    """Who is asking, as a token says it.

    `username` is None when the token leaves the name open; `expires_at` is in seconds since 1970;
    `family` names the sign-in that the token came from, or is None for tokens made elsewhere.
    """

    user_id: str
    username: str | None
    role: str
    expires_at: float
    family: str | None

    @property
    def trusted(self) -> bool:
        """Whether this is a program or an operator rather than a person who chats."""
        return self.role in ("service", "admin")


class Tokens:
    """Signs and verifies access tokens with one secret.

    Verified tokens are remembered (bounded), because a signature is the same each time; whether
    one has expired is asked each time anew.
    """

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._clock = clock
        self._verified: OrderedDict[str, Identity] = OrderedDict()

    def sign(
        self,
        user_id: str,
        username: str | None,
        role: str = "user",
        ttl: float = 900,
        family: str | None = None,
    ) -> str:
        """A token for that user, good for `ttl` seconds."""
        now = self._clock()
        claims: dict[str, Any] = {"userId": user_id, "sub": user_id, "role": role, "iat": int(now)}
        claims["exp"] = int(now + ttl)
        if username is not None:
            claims["username"] = username
        if family is not None:
            claims["fam"] = family
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM)

    def verify(self, token: str) -> Identity:
        """The identity that a token proves.

        Raises Unauthorized `token-expired` for a good one that is too old, else `token-invalid`.
        """
        identity = self._verified.get(token)
        if identity is None:
            identity = _identity(self._decode(token))
            self._verified[token] = identity
            if len(self._verified) > CACHED:
                self._verified.popitem(last=False)
        if identity.expires_at <= self._clock():
            self._verified.pop(token, None)
            raise _expired()
        return identity

    def _decode(self, token: str) -> Mapping[str, Any]:
        if len(token) > MAX_TOKEN:
            raise _invalid("The token is too long.")
        try:
            decoded = jwt.decode_complete(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                # Expiry is checked by our clock; `sub` may be an integer here; without a configured
                # audience or issuer these claims say nothing to us.
                options={
                    "require": ["exp"],
                    "verify_exp": False,
                    "verify_sub": False,
                    "verify_jti": False,
                    "verify_aud": False,
                    "verify_iss": False,
                },
            )
        except jwt.MissingRequiredClaimError:
            raise _invalid("The token has no exp claim: tokens must expire.") from None
        except jwt.ImmatureSignatureError:
            raise _invalid("The token is not valid yet.") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise _invalid("The token is not valid.") from None
        if not _REFUSED_HEADERS.isdisjoint(decoded["header"]):
            raise _invalid("The token has a header that is not supported.")
        payload: Mapping[str, Any] = decoded["payload"]
        return payload


def _identity(claims: Mapping[str, Any]) -> Identity:
    try:
        user_id = names.user_id(claims["userId"] if "userId" in claims else claims.get("sub"))
        username = claims.get("username")
        if username is not None:
            username = names.username(username if isinstance(username, str) else "")
    except BadRequest as problem:
        raise _invalid(f"The token is not valid: {problem.sentence}") from None
    role = claims.get("role", "user")
    if role not in ROLES:
        raise _invalid("The token has an unknown role.")
    family = claims.get("fam")
    return Identity(user_id, username, role, _expiry(claims["exp"]), family if isinstance(family, str) else None)


def _expiry(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise _invalid("The token's exp claim is not a time.")
    return float(value)


def _invalid(sentence: str) -> Unauthorized:
    return Unauthorized("token-invalid", sentence)


def _expired() -> Unauthorized:
    return Unauthorized("token-expired", "The token has expired.")
