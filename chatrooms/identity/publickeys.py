"""Public keys of an identity provider, read from a PEM or JWKS file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
from jwt.algorithms import get_default_algorithms

from chatrooms.errors import ConfigError
from chatrooms.identity.tokens import PublicKeys

# JWK key types of each algorithm (RFC 7518, 6.1; RFC 8037, 2).
_KEY_TYPES = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}


def load(algorithm: str, path: Path) -> PublicKeys:
    """The keys in a file. Raises ConfigError for an unreadable one, or one without a fitting key."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--jwt-keys: {path}: {error}") from None
    if "PRIVATE KEY" in text:
        raise ConfigError(f"--jwt-keys: {path} holds a private key; give the public one")
    try:
        keys = _from_jwks(algorithm, text) if text.lstrip().startswith("{") else _from_pem(algorithm, text)
    except (ValueError, TypeError, KeyError, jwt.PyJWTError) as error:
        raise ConfigError(f"--jwt-keys: {path}: {error}") from None
    except NotImplementedError:
        raise ConfigError("--jwt-keys needs the package cryptography: pip install 'chatrooms[keys]'") from None
    if not keys:
        raise ConfigError(f"--jwt-keys: {path} has no key for {algorithm}")
    return PublicKeys(algorithm, keys)


def _from_pem(algorithm: str, text: str) -> dict[str, Any]:
    algorithms = get_default_algorithms()
    if algorithm not in algorithms:
        raise NotImplementedError
    return {"": algorithms[algorithm].prepare_key(text)}


def _from_jwks(algorithm: str, text: str) -> dict[str, Any]:
    document = json.loads(text)
    entries = document.get("keys", [document])
    fitting = [entry for entry in entries if entry.get("kty") == _KEY_TYPES[algorithm] and "d" not in entry]
    return {entry.get("kid", ""): jwt.PyJWK(entry, algorithm).key for entry in fitting}
