"""The options: one table, the source of flags, environment, checks, --help and docs/options.md.

Each is a flag `--name-with-dashes` and an environment variable `CHATROOMS_NAME_WITH_UNDERSCORES`;
a flag beats the variable. Times are in seconds, fractions allowed; 0 turns a limit off.
"""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from chatrooms.errors import ConfigError
from chatrooms.option_types import (
    base_url,
    bus_url,
    count,
    database_url,
    flag,
    hosts,
    networks,
    one_of,
    port,
    seconds,
    subject,
    text,
    whole,
    words,
)

VERSION = "0.1.0"
ENV_PREFIX = "CHATROOMS_"


class Option(NamedTuple):
    """One setting. `kind` parses its text into its value, or raises ValueError saying what is wanted."""

    name: str
    kind: Callable[[str], Any]
    default: Any
    help: str
    secret: bool = False

    @property
    def attribute(self) -> str:
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        return ENV_PREFIX + self.attribute.upper()


OPTIONS: tuple[Option, ...] = (
    Option("port", port, 4000, "TCP port to listen on; 0 picks a free one"),
    Option("address", text, "localhost", "address to listen on; localhost means 127.0.0.1 and ::1"),
    Option("workers", count, 1, "processes that share the port and the database, for several cores; Linux only"),
    Option("data-dir", text, "./data", "folder for the database and the secret; locked while in use"),
    Option(
        "database-url", database_url, None, "postgresql://…, shared by all nodes; default: SQLite in data-dir", True
    ),
    Option("bus-url", bus_url, None, "nats://…, comma-separated; default: LISTEN/NOTIFY on PostgreSQL", True),
    Option("nats-ingest", subject, None, "NATS subject on bus-url from which other programs' messages are accepted"),
    Option("ssl-cert", text, None, "certificate chain (PEM) for serving HTTPS"),
    Option("ssl-key", text, None, "private key (PEM) of ssl-cert"),
    Option("log-format", one_of("text", "json"), "text", "format of the log lines on standard error"),
    Option("log-level", one_of("debug", "info", "warning", "error"), "info", "least severe level to log"),
    Option("secret", text, None, "key that signs and verifies JWTs; default: generated and kept in data-dir", True),
    Option("token-ttl", seconds, 900.0, "lifetime of an access token"),
    Option("refresh-ttl", seconds, 30 * 86400.0, "lifetime of a refresh token after its last use"),
    Option(
        "jwt-algorithm", one_of("RS256", "ES256", "EdDSA"), None, "also accept tokens signed by this; needs jwt-keys"
    ),
    Option("jwt-keys", text, None, "file with the public key (PEM) or key set (JWKS) for jwt-algorithm"),
    Option("jwt-audience", text, None, "aud claim required in every token"),
    Option("jwt-issuer", text, None, "iss claim required in every token"),
    Option("allow-guests", flag, None, "let anyone pick a name and chat; default: only in development"),
    Option("guest-rate", whole, None, "guest sign-ins per minute and address; default: 300 in development, else 30"),
    Option(
        "signin-rate",
        whole,
        None,
        "sign-ins and sign-ups per minute and address, and wrong passwords before further tries are delayed; "
        "default: 300 in development, else 10",
    ),
    Option("allowed-origins", words, None, "origins whose pages may call the API; default: loopback in development"),
    Option("allowed-hosts", hosts, None, "Host names to serve; default: loopback names in development, else any"),
    Option("trusted-proxies", networks, (), "proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted"),
    Option(
        "session-claim",
        one_of("first", "assigned"),
        None,
        "owner of a new message session: its first user, or whoever a program assigns; "
        "default: first in development, else assigned",
    ),
    Option("heartbeat", seconds, 25.0, "interval between heartbeats on every stream"),
    Option("leave-grace", seconds, 2.0, "how long a member may be without a stream before leaving; 0: leaves at once"),
    Option("write-timeout", seconds, 30.0, "how long a stream may accept no data before it is closed"),
    Option("compress", flag, None, "compress streams for clients that accept gzip, see security.md; default: off"),
    Option("drain", seconds, 10.0, "period over which streams are closed at shutdown"),
    Option("max-streams", whole, 10_000, "open streams on this node"),
    Option("max-streams-per-user", whole, 200, "open streams per user"),
    Option(
        "stream-rate",
        whole,
        None,
        "streams and polls per user in 10 s; default: 10 times max-streams-per-user in development, else twice",
    ),
    Option("room-rate", whole, 500, "rooms and sessions one user may create in an hour; service and admin are exempt"),
    Option("max-rooms-per-user", whole, 1000, "rooms one user may have joined; service and admin are exempt"),
    Option("presence-limit", whole, 200, "members above which a room no longer announces each join and leave"),
    Option("message-rate", whole, 120, "messages and moderation per user in 10 s; service and admin are exempt"),
    Option("max-message-bytes", whole, 16_384, "size of one message in UTF-8 bytes"),
    Option("retention", seconds, 0.0, "days to keep events, replies, session messages and finished tasks; 0: forever"),
    Option(
        "ai", one_of("offline", "openai"), "offline", "who answers: a built-in stand-in, or an OpenAI-compatible API"
    ),
    Option("ai-base-url", base_url, None, "address of that API, for example https://api.example.org/v1"),
    Option("ai-model", text, None, "model to use when the client names none"),
    Option("ai-api-key", text, None, "key for that API", True),
    Option("ai-delay", seconds, 0.04, "pause between words of the offline provider"),
    Option("ai-first-token", seconds, 120.0, "how long a reply may take to start"),
    Option("ai-idle", seconds, 60.0, "how long a reply may pause"),
    Option("ai-timeout", seconds, 900.0, "how long a reply may take altogether"),
    Option("ai-orphan", seconds, 60.0, "how long a private reply goes on with no reader on any node; 0: to its end"),
    Option("ai-replies", whole, 100, "replies generated at once; more wait in a queue"),
    Option("ai-replies-per-user", whole, 20, "replies generated at once per user; more wait in the queue"),
    Option("ai-queue", whole, 1000, "replies that may wait"),
    Option("ai-queue-per-user", whole, 20, "replies per user that may wait"),
    Option("reply-rate", whole, None, "AI replies per user and minute; default: 1000 in development, else 60"),
    Option("max-prompt-bytes", whole, 65_536, "size of one prompt in UTF-8 bytes; the oldest history is dropped first"),
    Option("max-reply-bytes", whole, 262_144, "size of one AI reply in UTF-8 bytes"),
    Option("max-tasks-per-user", whole, 1000, "tasks kept per user; the oldest finished ones are removed first"),
    Option("task-rate", whole, 600, "tasks created and changed per user in 10 s; service and admin are exempt"),
    Option("task-days", seconds, 30.0, "days to keep a finished task; 0: forever"),
    Option("export-rate", whole, 30, "exports per user in an hour; service and admin are exempt"),
    Option("max-exports-per-user", whole, 5, "unfinished exports per user and node"),
    Option("max-export-bytes-per-user", whole, 1 << 30, "bytes of exports kept per user; the oldest are removed first"),
    Option("max-export-bytes", whole, 10 << 30, "bytes of exports kept altogether; above it, new ones are refused"),
)

# Options with a different default in development, used where they are not given.
_BY_ENVIRONMENT = (
    "allow-guests", "guest-rate", "signin-rate", "allowed-origins", "allowed-hosts", "session-claim", "stream-rate",
    "reply-rate",
)  # fmt: skip


class Options:
    """The settings of one server, as attributes: `options.leave_grace`.

    Made from `OPTIONS` with `overrides` first, then the environment, then the defaults. Overrides
    may be values or text. `own_users`: whether an embedding program identifies callers. Raises
    ConfigError, one line, for an unknown name or a bad value.
    """

    def __init__(self, overrides: Mapping[str, Any], environ: Mapping[str, str], own_users: bool = False) -> None:
        self.own_users = own_users
        unknown = set(overrides) - {option.attribute for option in OPTIONS}
        if unknown:
            raise ConfigError(f"unknown option {sorted(unknown)[0]!r}")
        for option in OPTIONS:
            setattr(self, option.attribute, _resolve(option, overrides, environ))
        if bool(self.ssl_cert) != bool(self.ssl_key):
            raise ConfigError("--ssl-cert and --ssl-key must be given together")
        if self.database_url and not self.secret:
            raise ConfigError("--database-url needs --secret, the same one on every node")
        if self.nats_ingest and not self.bus_url:
            raise ConfigError("--nats-ingest needs --bus-url nats://…")
        if bool(self.jwt_algorithm) != bool(self.jwt_keys):
            raise ConfigError("--jwt-algorithm and --jwt-keys must be given together")
        if self.ai == "openai" and not self.ai_base_url:
            raise ConfigError("--ai openai needs --ai-base-url")

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.address == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.address).is_loopback
        except ValueError:
            return False

    def url(self, port: int) -> str:
        """The address of the server's page."""
        host = "127.0.0.1" if self.address == "localhost" else self.address
        return f"{'https' if self.ssl_cert else 'http'}://{host}:{port}/"

    @property
    def development(self) -> bool:
        """Whether development defaults hold: only this machine is served.

        A loopback address is not proof of that behind a proxy; then trusted-proxies or allowed-hosts is set.
        An option that is given beats either default.
        """
        return self.loopback and not (self.trusted_proxies or self.allowed_hosts is not None or self.own_users)

    @property
    def which_defaults(self) -> str:
        """One line saying which defaults hold, and for which options."""
        held = [name for name in _BY_ENVIRONMENT if getattr(self, name.replace("-", "_")) is None]
        kind = "development" if self.development else "production"
        return f"{kind} defaults hold for: {', '.join(held) or 'nothing, all are given'}"

    @property
    def guests(self) -> bool:
        return self.development if self.allow_guests is None else bool(self.allow_guests)

    @property
    def streams_a_period(self) -> int:
        if self.stream_rate is not None:
            return int(self.stream_rate)
        return int(self.max_streams_per_user) * (10 if self.development else 2)

    @property
    def replies_a_minute(self) -> int:
        if self.reply_rate is not None:
            return int(self.reply_rate)
        return 1000 if self.development else 60

    @property
    def signins_a_minute(self) -> int:
        if self.signin_rate is not None:
            return int(self.signin_rate)
        return 300 if self.development else 10

    @property
    def guests_a_minute(self) -> int:
        if self.guest_rate is not None:
            return int(self.guest_rate)
        return 300 if self.development else 30


def _resolve(option: Option, overrides: Mapping[str, Any], environ: Mapping[str, str]) -> Any:
    if overrides.get(option.attribute) is not None:
        given, source = overrides[option.attribute], f"--{option.name}"
    elif option.variable in environ:
        given, source = environ[option.variable], option.variable
    else:
        return option.default
    if isinstance(given, list | tuple):
        given = ",".join(map(str, given))
    given = str(given)
    try:
        return option.kind(given)
    except ValueError as problem:
        shown = "the value given" if option.secret else repr(given)
        raise ConfigError(f"{source}: {shown} is not {problem}") from None


class _Parser(argparse.ArgumentParser):
    """An argument parser that complains in one line."""

    def error(self, message: str) -> Any:
        self.exit(2, f"{self.prog}: {message}\n")


def parser(prog: str, description: str) -> argparse.ArgumentParser:
    """A parser with one flag per option; values stay text, `Options` checks them."""
    made = _Parser(prog=prog, description=description, allow_abbrev=False)
    for option in OPTIONS:
        default = "" if option.default in (None, ()) or " default" in option.help else f" (default {option.default})"
        text = option.help.replace("%", "%%") + default
        bare: dict[str, Any] = {"nargs": "?", "const": "true"} if option.kind is flag else {}  # --compress alone
        made.add_argument(f"--{option.name}", metavar="VALUE", help=text, **bare)
    return made


def overrides(namespace: argparse.Namespace, extra: Sequence[str] = ()) -> dict[str, str]:
    """The options that were given as flags, by attribute name."""
    known = {option.attribute for option in OPTIONS} - set(extra)
    return {name: value for name, value in vars(namespace).items() if name in known and value is not None}
