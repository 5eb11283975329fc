"""Access tokens: JWT in, `Identity` out, and back. No I/O.

HS256 with the server's secret is accepted, and one other algorithm with public keys when that is
configured; the algorithm picks the key, never the other way round (RFC 8725, 3.1). Of a claim that
stands twice in a payload the last one counts, as in Python's json.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jwt
from jwt.algorithms import Algorithm, get_default_algorithms

from chatrooms import names
from chatrooms.errors import BadRequest, ConfigError, Unauthorized
from chatrooms.identity import Identity

ROLES = ("user", "agent", "service", "admin")
ALGORITHM = "HS256"
MIN_SECRET_BYTES = 32  # RFC 7518, 3.2: a key of the hash's size or larger
MAX_TOKEN = 8192  # characters
CACHED = 10_000  # verified tokens remembered

# Header parameters that change how the rest is read (RFC 7515 4.1.11, 7516 4.1.3, 7797).
_REFUSED_HEADERS = frozenset({"crit", "zip", "b64"})


class PublicKeys(NamedTuple):
    """Keys of an identity provider: `keys` by key id, or the only one by ""."""

    algorithm: str
    keys: Mapping[str, Any]


class Tokens:
    """Signs and verifies access tokens.

    `audience` and `issuer`, when given, must stand in every token.

    Verified tokens are remembered (bounded), because a signature is the same each time; whether
    one has expired is asked each time anew.
    """

    def __init__(
        self, secret: str, public: PublicKeys | None = None, audience: str | None = None,
        issuer: str | None = None, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._secret = secret
        self._public = public
        self._audience = audience
        self._issuer = issuer
        self._clock = clock
        self._verified: OrderedDict[str, Identity] = OrderedDict()

    def sign(
        self,
        user_id: str,
        username: str | None,
        role: str = "user",
        ttl: float = 900,
        session: str | None = None,
        guest: bool = False,
    ) -> str:
        """A token for that user, good for `ttl` seconds."""
        now = self._clock()
        claims: dict[str, Any] = {"userId": user_id, "sub": user_id, "role": role, "iat": int(now)}
        claims["exp"] = int(now + ttl)
        if username is not None:
            claims["username"] = username
        if session is not None:
            claims["fam"] = session
        if guest:
            claims["guest"] = True
        if self._audience is not None:
            claims["aud"] = self._audience
        if self._issuer is not None:
            claims["iss"] = self._issuer
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM)

    def verify(self, token: str) -> Identity:
        """The identity that a token proves.

        Raises Unauthorized `token-expired` for a good one that is too old, else `token-invalid`.
        """
        identity = self._verified.get(token)
        if identity is None:
            identity = _identity(self._decode(token), token)
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
            algorithm, key = self._key(token)
            decoded = jwt.decode_complete(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                # Expiry is checked by our clock; `sub` may be an integer here; without a configured
                # audience or issuer these claims say nothing to us.
                options={
                    "require": ["exp"],
                    "verify_exp": False,
                    "verify_sub": False,
                    "verify_jti": False,
                    "verify_aud": self._audience is not None,
                    "verify_iss": self._issuer is not None,
                },
            )
        except jwt.MissingRequiredClaimError:
            raise _invalid("The token has no exp claim: tokens must expire.") from None
        except jwt.InvalidAlgorithmError:
            raise _unaccepted() from None
        except jwt.ImmatureSignatureError:
            raise _invalid("The token is not valid yet.") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise _invalid("The token is not valid.") from None
        if not _REFUSED_HEADERS.isdisjoint(decoded["header"]):
            raise _invalid("The token has a header that is not supported.")
        payload: Mapping[str, Any] = decoded["payload"]
        return payload

    def _key(self, token: str) -> tuple[str, Any]:
        """The algorithm and the key for a token. Raises Unauthorized when there is none, jwt.PyJWTError."""
        if self._public is None:  # nothing to choose: reading the header here, too, would take half as long again
            return ALGORITHM, self._secret
        header = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if algorithm == ALGORITHM:
            return ALGORITHM, self._secret
        if algorithm == self._public.algorithm:
            kid = header.get("kid", "")
            key = self._public.keys.get(kid if isinstance(kid, str) else "") or self._public.keys.get("")
            if key is not None:
                return self._public.algorithm, key
        raise _unaccepted()


def _identity(claims: Mapping[str, Any], token: str) -> Identity:
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
    session = claims.get("fam")
    guest = isinstance(session, str) and claims.get("guest") is True
    if not isinstance(session, str):
        # By what is signed: a signature can be spelled in several ways (padding, unused bits).
        signed = token.rpartition(".")[0]
        session = "token:" + hashlib.sha256(signed.encode()).hexdigest()[:32]
    return Identity(user_id, username, role, _expiry(claims["exp"]), session, guest)


def _expiry(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise _invalid("The token's exp claim is not a time.")
    return float(value)


def _unaccepted() -> Unauthorized:
    return _invalid("The token is signed with an algorithm that is not accepted here.")


def _invalid(sentence: str) -> Unauthorized:
    return Unauthorized("token-invalid", sentence)


def _expired() -> Unauthorized:
    return Unauthorized("token-expired", "The token has expired.")


def load(algorithm: str, path: Path) -> PublicKeys:
    """The keys in a file that sign by that algorithm.

    Raises ConfigError for an unreadable file, one without such a key, and one with a weak or private key.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--jwt-keys: {path}: {error}") from None
    if "PRIVATE KEY" in text:
        raise ConfigError(f"--jwt-keys: {path} holds a private key; give the public one")
    if algorithm not in get_default_algorithms():
        raise ConfigError("--jwt-keys needs the package cryptography: pip install 'chatrooms[keys]'")
    try:
        keys = _from_jwks(algorithm, text) if text.lstrip().startswith("{") else _from_pem(algorithm, text)
    except (ValueError, TypeError, AttributeError, jwt.PyJWTError) as error:
        raise ConfigError(f"--jwt-keys: {path}: {error}") from None
    if not keys:
        raise ConfigError(f"--jwt-keys: {path} has no key for {algorithm}")
    return PublicKeys(algorithm, keys)


def _from_pem(algorithm: str, text: str) -> dict[str, Any]:
    method = get_default_algorithms()[algorithm]
    return {"": _strong(method, method.prepare_key(text))}


def _from_jwks(algorithm: str, text: str) -> dict[str, Any]:
    """The keys for us by their id. A set may hold others: for encryption, and of other algorithms."""
    document = json.loads(text)
    entries = [entry for entry in document.get("keys", [document]) if _verifies(entry, algorithm)]
    keys: dict[str, Any] = {}
    for key in jwt.PyJWKSet(entries) if entries else ():
        if key.algorithm_name != algorithm:
            continue
        id = key.key_id or ""
        if id in keys:
            raise jwt.PyJWKSetError(f"two keys have the id {id!r}")
        keys[id] = _strong(key.Algorithm, key.key)
    return keys


def _verifies(entry: Mapping[str, Any], algorithm: str) -> bool:
    """Whether a key is meant for our signatures (RFC 7517, 4.2 to 4.4); raises for a private one."""
    if "d" in entry:
        raise jwt.InvalidKeyError("it holds a private key; give the public one")
    uses, operations = entry.get("use"), entry.get("key_ops")
    fits = uses in (None, "sig") and (operations is None or "verify" in operations)
    return fits and entry.get("alg") in (None, algorithm)


def _strong(method: Algorithm, key: Any) -> Any:
    """The key, of the algorithm's kind and curve; raises for one that is too weak (RFC 7518, 3.3)."""
    weakness = method.check_key_length(key)
    if weakness is not None:
        raise jwt.InvalidKeyError(weakness)
    return method.prepare_key(key)
