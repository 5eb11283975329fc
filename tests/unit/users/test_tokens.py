"""Access tokens. `tests/data/jwt_attack_cases.json` says how each forged one is built."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest

from chatrooms.errors import Unauthorized
from chatrooms.users.tokens import MAX_TOKEN, Tokens
from tests.helpers.limit import time_limit

SECRET = "k" * 40
NOW = 1_700_000_000
CLAIMS: dict[str, Any] = {"userId": "alice", "exp": NOW + 900}


def tokens(now: float = NOW) -> Tokens:
    return Tokens(SECRET, clock=lambda: now)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def forge(claims: object, header: object = None, secret: str = SECRET, digest: str = "sha256") -> str:
    """A token signed with that secret, whatever header and claims say; bytes are taken as they are."""
    header = {"alg": "HS256", "typ": "JWT"} if header is None else header
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    signed = ".".join(map(b64, parts))
    return f"{signed}.{b64(hmac.digest(secret.encode(), signed.encode(), digest))}"


def claims(**changed: Any) -> dict[str, Any]:
    return {name: value for name, value in {**CLAIMS, **changed}.items() if value is not ...}


GOOD = forge(CLAIMS)
HEAD, PAYLOAD, SIGNATURE = GOOD.split(".")


def test_helper_makes_tokens_that_are_good() -> None:
    """Or the refusals below would prove nothing."""
    assert tokens().verify(GOOD).user_id == "alice"


def header(**more: Any) -> str:
    return forge(CLAIMS, {"alg": "HS256", **more})


def each(*values: Any) -> tuple[Any, ...]:
    """The values, of whatever types."""
    return values


FORGED: dict[str, str] = {
    **{f"alg {alg!r}": forge(CLAIMS, {"alg": alg}) for alg in
       each("none", "None", "NONE", "nOnE", ["HS256"], None, 1, {}, "hs256", "", "HS256 ", "RS256", "ES256", "EdDSA")},
    **{f"alg {alg} without signature": f"{b64(json.dumps({'alg': alg}).encode())}.{PAYLOAD}." for alg in
       each("none", "None", "NONE", "HS256")},
    "alg missing": forge(CLAIMS, {"typ": "JWT"}),
    "null signature": f"{HEAD}.{PAYLOAD}.",
    "signature stripped": f"{HEAD}.{PAYLOAD}",
    "four parts": GOOD + ".x",
    "five parts": f"{GOOD}.x.y",
    "one part": HEAD,
    "empty": "",
    "dots": "..",
    "payload changed": f"{HEAD}.{b64(json.dumps(claims(userId='bob')).encode())}.{SIGNATURE}",
    "newline before the signature": f"{HEAD}.{PAYLOAD}\n.{SIGNATURE}",
    "newline in the signature": f"{HEAD}.{PAYLOAD}.{SIGNATURE[:5]}\n{SIGNATURE[5:]}",
    "leading space": " " + GOOD,
    "trailing space": GOOD + " ",
    "trailing NUL": GOOD + "\0",
    "not ASCII": GOOD + "é",
    "lone surrogate": GOOD + "\ud800",
    "HS384": forge(CLAIMS, {"alg": "HS384"}, digest="sha384"),
    "HS512": forge(CLAIMS, {"alg": "HS512"}, digest="sha512"),
    "HS512 signed, HS256 said": forge(CLAIMS, digest="sha512"),
    **{f"secret {secret!r}": forge(CLAIMS, secret=secret) for secret in
       each("", "secret", "changeme", "password", "your-256-bit-secret", "dev", "test")},
    "kid path traversal": forge(CLAIMS, {"alg": "HS256", "kid": "../../../../dev/null"}, secret=""),
    "kid SQL injection": forge(CLAIMS, {"alg": "HS256", "kid": "x' UNION SELECT 'a' --"}, secret="a"),
    "kid huge": header(kid="x" * (1 << 20)),
    "kid list": header(kid=[1]),
    "jwk in the header": forge(CLAIMS, {"alg": "HS256", "jwk": {"kty": "oct", "k": b64(b"attacker")}}, "attacker"),
    "jku in the header": forge(CLAIMS, {"alg": "HS256", "jku": "http://127.0.0.1:1/"}, "attacker"),
    "crit unknown": header(crit=["x"], x=1),
    "crit b64": header(crit=["b64"], b64=False),
    "b64 without crit": header(b64=False),
    "zip": header(zip="DEF"),
    **{f"exp {exp!r}": forge(claims(exp=exp)) for exp in
       each(NOW - 1, NOW, 0, -1, str(NOW + 900), [], None, ..., True, {}, float("nan"), float("inf"), 2**53)},
    "exp 1e400": forge(b'{"userId":"alice","exp":1e400}'),
    "exp of 5000 digits": forge(b'{"userId":"alice","exp":' + b"9" * 5000 + b"}"),
    "nbf in the future": forge(claims(nbf=4102444800)),
    **{f"nbf {nbf!r}": forge(claims(nbf=nbf)) for nbf in each([], {}, "x", float("inf"), float("nan"))},
    **{f"iat {iat!r}": forge(claims(iat=iat)) for iat in each([], {}, "x", float("inf"), 4102444800)},
    **{f"userId {user!r}": forge(claims(userId=user)) for user in
       each(..., None, "", [], {}, True, 1.5, "x" * 256, "a\0b", "a\nb")},
    **{f"sub {user!r}": forge(claims(userId=..., sub=user)) for user in each(None, "", [], {}, True)},
    **{f"username {name!r}": forge(claims(username=name)) for name in each("", " ", 7, [], "x" * 33, "a\0", "\u202ea")},
    **{f"role {role!r}": forge(claims(role=role)) for role in each("root", "", None, [], {}, 1, "Admin")},
    **{f"payload {payload!r}": forge(payload) for payload in each(b"", b"null", b"[]", b'"x"', b"1", b"{", b"\xff")},
    "payload 100000 deep": forge(b'{"exp":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "payload 2000 deep": forge(b'{"x":' + b"[" * 2000 + b"]" * 2000 + b',"exp":1e10,"userId":"a"}'),
    "header 2000 deep": forge(CLAIMS, b'{"alg":"HS256","x":' + b"[" * 2000 + b"]" * 2000 + b"}"),
    "60 KiB": forge(claims(padding="x" * 60_000)),
}  # fmt: skip


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED.keys())
def test_forged_token_is_refused(token: str) -> None:
    """Each with a 401 and within bounded time; no other exception escapes."""
    with time_limit(5), pytest.raises(Unauthorized):
        tokens().verify(token)


def test_any_changed_byte_of_the_signature_is_noticed() -> None:
    """Each bit of it is checked."""
    signature = base64.urlsafe_b64decode(SIGNATURE + "=")
    for index in range(len(signature)):
        changed = signature[:index] + bytes([signature[index] ^ 1]) + signature[index + 1 :]
        with pytest.raises(Unauthorized):
            tokens().verify(f"{HEAD}.{PAYLOAD}.{b64(changed)}")


@pytest.mark.parametrize("token", [GOOD + "=", GOOD[:-1] + chr(ord(GOOD[-1]) + 1)], ids=["padding", "unused bits"])
def test_malleable_encoding_changes_nobody(token: str) -> None:
    """Another spelling of the same signature is refused or means the same, its sign-out, too."""
    try:
        assert tokens().verify(token) == tokens().verify(GOOD)
    except Unauthorized:
        pass


def test_expired_token_has_a_code_of_its_own() -> None:
    """A client then knows to renew it, on the second sight, too."""
    verifier = tokens(NOW + 900)
    for _ in range(2):
        with pytest.raises(Unauthorized) as refused:
            verifier.verify(GOOD)
        assert refused.value.code == "token-expired"


def test_remembered_token_expires_all_the_same() -> None:
    """The signature is remembered, the time is not."""
    now = [NOW]
    verifier = Tokens(SECRET, clock=lambda: now[0])
    assert verifier.verify(GOOD).user_id == "alice"
    now[0] += 900
    with pytest.raises(Unauthorized):
        verifier.verify(GOOD)


def test_missing_exp_is_said() -> None:
    """Who makes tokens elsewhere reads what is wrong."""
    with pytest.raises(Unauthorized, match="no exp claim"):
        tokens().verify(forge(claims(exp=...)))


@pytest.mark.parametrize(
    ("changed", "user"),
    [({"userId": 7}, "7"), ({"userId": ..., "sub": "carl"}, "carl"), ({"sub": "other"}, "alice"),
     ({"userId": ..., "sub": 9}, "9"), ({"aud": "x", "iss": "y", "jti": 1, "other": {}}, "alice"),
     ({"exp": 1e10}, "alice")],
)  # fmt: skip
def test_good_token_from_elsewhere_works(changed: dict[str, Any], user: str) -> None:
    """userId or sub, text or integer; other claims say nothing to us."""
    assert tokens().verify(forge(claims(**changed))).user_id == user


def test_of_a_claim_that_stands_twice_the_last_counts() -> None:
    """One documented meaning."""
    assert tokens().verify(forge(b'{"userId":"a","userId":"b","exp":%d}' % (NOW + 9))).user_id == "b"


def test_four_lines_of_pyjwt_make_a_good_token() -> None:
    """Back ends sign by themselves."""
    token = jwt.encode({"userId": 5, "username": "Eve", "role": "agent", "exp": NOW + 60}, SECRET, algorithm="HS256")
    who = tokens().verify(token)
    assert (who.user_id, who.username, who.role, who.expires_at) == ("5", "Eve", "agent", NOW + 60)


def test_signed_token_says_what_it_was_given() -> None:
    """And fits the bound on tokens with the longest names."""
    token = tokens().sign("ü" * 255, "Ann", "admin", 60, "fam")
    assert len(token) < MAX_TOKEN
    who = tokens().verify(token)
    assert who == ("ü" * 255, "Ann", "admin", NOW + 60, "fam", False)
    assert who.trusted


def test_weak_hash_of_the_secret_is_not_accepted() -> None:
    """The key is the secret itself."""
    with pytest.raises(Unauthorized):
        tokens().verify(forge(CLAIMS, secret=hashlib.sha256(SECRET.encode()).hexdigest()))
