"""Tokens of an identity provider: RS256, ES256, EdDSA, by PEM or JWKS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from chatrooms.errors import ConfigError, Unauthorized
from chatrooms.users.tokens import Tokens, load

SECRET = "k" * 40
CLAIMS = {"sub": "alice", "exp": 4102444800}
PRIVATE: dict[str, Any] = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
PEM = serialization.Encoding.PEM
PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo


def pem(algorithm: str) -> bytes:
    data: bytes = PRIVATE[algorithm].public_key().public_bytes(PEM, PUBLIC)
    return data


def jwk(algorithm: str, kid: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(get_default_algorithms()[algorithm].to_jwk(PRIVATE[algorithm].public_key()))
    return {**made, "kid": kid}


@pytest.mark.parametrize("algorithm", PRIVATE)
@pytest.mark.parametrize("form", ["pem", "jwks"])
def test_token_of_a_provider_lets_in(tmp_path: Path, algorithm: str, form: str) -> None:
    """Beside our own, which stay good."""
    file = tmp_path / "keys"
    file.write_bytes(pem(algorithm) if form == "pem" else json.dumps({"keys": [jwk(algorithm, "1")]}).encode())
    tokens = Tokens(SECRET, load(algorithm, file))
    token = jwt.encode(CLAIMS, PRIVATE[algorithm], algorithm=algorithm, headers={"kid": "1"})
    assert tokens.verify(token).user_id == "alice"
    assert tokens.verify(tokens.sign("bob", None)).user_id == "bob"


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_public_key_is_no_secret(tmp_path: Path, algorithm: str) -> None:
    """HS256 with the public key as its secret is refused (algorithm confusion)."""
    file = tmp_path / "keys"
    file.write_bytes(pem(algorithm))
    tokens = Tokens(SECRET, load(algorithm, file))
    header, payload = jwt.encode(CLAIMS, "x", algorithm="HS256").split(".")[:2]
    signer = get_default_algorithms()["HS256"]
    signature = jwt.utils.base64url_encode(signer.sign(f"{header}.{payload}".encode(), pem(algorithm)))
    with pytest.raises(Unauthorized):
        tokens.verify(f"{header}.{payload}.{signature.decode()}")


def test_other_key_and_other_algorithm_are_refused(tmp_path: Path) -> None:
    """Only the configured algorithm, only by its own keys."""
    file = tmp_path / "keys"
    file.write_text(json.dumps({"keys": [jwk("ES256", "1")]}))
    tokens = Tokens(SECRET, load("ES256", file))
    stranger = ec.generate_private_key(ec.SECP256R1())
    for token in (
        jwt.encode(CLAIMS, stranger, algorithm="ES256", headers={"kid": "1"}),
        jwt.encode(CLAIMS, PRIVATE["ES256"], algorithm="ES256", headers={"kid": "2"}),
        jwt.encode(CLAIMS, PRIVATE["RS256"], algorithm="RS256", headers={"kid": "1"}),
        jwt.encode(CLAIMS, PRIVATE["EdDSA"], algorithm="EdDSA"),
    ):
        with pytest.raises(Unauthorized):
            tokens.verify(token)


@pytest.mark.parametrize(("claim", "value"), [("aud", "us"), ("iss", "them")])
def test_configured_audience_and_issuer_must_be_there(claim: str, value: str) -> None:
    """Wrong, missing, a mere prefix or a list without it: refused; ours have them."""
    tokens = Tokens(SECRET, audience="us", issuer="them")
    good = {**CLAIMS, "aud": "us", "iss": "them"}
    assert tokens.verify(jwt.encode(good, SECRET)).user_id == "alice"
    assert tokens.verify(tokens.sign("bob", None)).user_id == "bob"
    for bad in ("other", value + "x", value[:-1], ["other"] if claim == "aud" else "", None):
        claims = {**good, claim: bad}
        if bad is None:
            del claims[claim]
        with pytest.raises(Unauthorized):
            tokens.verify(jwt.encode(claims, SECRET))


def weak_rsa() -> dict[str, Any]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    made: dict[str, Any] = json.loads(get_default_algorithms()["RS256"].to_jwk(key.public_key()))
    return {**made, "kid": "weak"}


def curve_384() -> dict[str, Any]:
    key = ec.generate_private_key(ec.SECP384R1())
    made: dict[str, Any] = json.loads(get_default_algorithms()["ES384"].to_jwk(key.public_key()))
    return {**made, "kid": "384"}


UNFIT: list[tuple[str, dict[str, Any]]] = [
    ("RS256", {**jwk("RS256", "1"), "use": "enc"}),
    ("RS256", {**jwk("RS256", "1"), "key_ops": ["encrypt", "wrapKey"]}),
    ("RS256", {**jwk("RS256", "1"), "key_ops": []}),
    ("RS256", {**jwk("RS256", "1"), "alg": "RS512"}),
    ("RS256", {**jwk("RS256", "1"), "alg": "RSA-OAEP"}),
    ("RS256", {**jwk("RS256", "1"), "alg": "PS256"}),
    ("RS256", jwk("ES256", "1")),
    ("RS256", {"kty": "oct", "k": "a2V5LWtleS1rZXkta2V5LWtleS1rZXkta2V5LWtleS0", "kid": "1"}),
    ("ES256", curve_384()),
    ("ES256", {**jwk("ES256", "1"), "alg": "ES384"}),
    ("EdDSA", {**jwk("EdDSA", "1"), "use": "enc"}),
]
DANGEROUS: list[tuple[str, dict[str, Any]]] = [
    ("RS256", weak_rsa()),
    ("RS256", json.loads(get_default_algorithms()["RS256"].to_jwk(PRIVATE["RS256"]))),
    ("ES256", {**curve_384(), "alg": "ES256"}),
    ("RS256", jwk("RS256", "good")),  # a second one of that id
]


@pytest.mark.parametrize(("algorithm", "unfit"), UNFIT)
def test_keys_for_other_purposes_are_left_out(tmp_path: Path, algorithm: str, unfit: dict[str, Any]) -> None:
    """A provider's set may hold them beside those for us; alone they stop the start."""
    file = tmp_path / "keys"
    file.write_text(json.dumps({"keys": [unfit, {**jwk(algorithm, "good"), "use": "sig", "alg": algorithm}]}))
    assert set(load(algorithm, file).keys) == {"good"}
    for alone in ({"keys": [unfit]}, unfit):
        file.write_text(json.dumps(alone))
        with pytest.raises(ConfigError, match="--jwt-keys"):
            load(algorithm, file)


@pytest.mark.parametrize(("algorithm", "dangerous"), DANGEROUS)
def test_weak_and_private_keys_stop_the_start(tmp_path: Path, algorithm: str, dangerous: dict[str, Any]) -> None:
    """Also beside good ones: somebody may sign with them."""
    file = tmp_path / "keys"
    file.write_text(json.dumps({"keys": [jwk(algorithm, "good"), dangerous]}))
    with pytest.raises(ConfigError, match="--jwt-keys") as refused:
        load(algorithm, file)
    assert "\n" not in str(refused.value)


def test_weak_key_of_a_pem_file_stops_the_start(tmp_path: Path) -> None:
    """As in a set."""
    file = tmp_path / "keys"
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    file.write_bytes(weak.public_key().public_bytes(PEM, PUBLIC))
    with pytest.raises(ConfigError, match="2048"):
        load("RS256", file)


def test_unfit_key_files_stop_the_start(tmp_path: Path) -> None:
    """With one line that names the option."""
    file = tmp_path / "keys"
    private = PRIVATE["RS256"].private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    sets = (b'{"keys": []}', b'{"keys": 7}', b'{"keys": "d"}', b'{"keys": ["k"]}')
    for content in (b"", b"nonsense", *sets, b"\xff\xfe", private, pem("ES256")):
        file.write_bytes(content)
        with pytest.raises(ConfigError, match="--jwt-keys") as refused:
            load("RS256", file)
        assert "\n" not in str(refused.value)
    with pytest.raises(ConfigError, match="--jwt-keys"):
        load("RS256", tmp_path / "missing")
