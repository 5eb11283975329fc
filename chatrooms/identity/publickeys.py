"""Public keys of an identity provider, read from a PEM or JWKS file.

Only those that are meant for signatures by the configured algorithm are taken, and none that is weak.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
from jwt.algorithms import Algorithm, get_default_algorithms

from chatrooms.errors import ConfigError
from chatrooms.identity.tokens import PublicKeys


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
        raise ConfigError(f"--jwt-keys: {path} has no key that signs by {algorithm}")
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
