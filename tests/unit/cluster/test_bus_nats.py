"""NATS as it is run in earnest: with TLS, users, tokens, and several servers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.nats_server import Nats
from benchmarks.process import free_port
from chatrooms.cluster.bus import bus_of
from chatrooms.cluster.bus.base import ALL
from chatrooms.cluster.bus.nats import NatsIntake
from chatrooms.errors import ConfigError
from tests.helpers.certificate import self_signed
from tests.helpers.chat import eventually
from tests.unit.cluster.test_bus import Ear, Engine, ears

pytestmark = pytest.mark.gen_test(timeout=60)

USER = ("--user", "chat", "--pass", "s3cret")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("nats"))


@pytest.fixture
def secured(certificate: tuple[Path, Path]) -> Iterator[Nats]:
    """TLS, a user and a password."""
    cert, key = certificate
    server = Nats("--tls", "--tlscert", str(cert), "--tlskey", str(key), *USER)
    yield server
    server.kill()


def at(server: Nats, user: str, scheme: str = "tls") -> str:
    return f"{scheme}://{user}@127.0.0.1:{server.port}"


async def both_hear(a: Ear, b: Ear, text: bytes) -> None:
    a.bus.send(ALL, text)
    await eventually(lambda: text in a.heard and text in b.heard)


@pytest.mark.parametrize("scheme", ["tls", "nats"])
async def test_tls_with_user_and_password(
    secured: Nats, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """The server may ask for TLS, too; after a crash all is as before; an intake goes the same way."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    url = at(secured, "chat:s3cret", scheme)
    async with ears(Engine(lambda: bus_of(url, None), secured.crash), "a", "b") as (a, b):
        await both_hear(a, b, b"hello")
        await asyncio.to_thread(secured.crash)
        await eventually(lambda: a.health == b.health == [False, True])
        await both_hear(a, b, b"again")
        intake, taken = NatsIntake(url, "chat.messages"), []
        await intake.open(lambda data, answer: taken.append(data))
        await a.bus._client.publish("chat.messages", b"from outside")  # type: ignore[attr-defined]
        await eventually(lambda: taken == [b"from outside"])
        await intake.close()


@pytest.mark.parametrize("trusted", [True, False])
async def test_wrong_password_or_certificate_stops_the_start(
    secured: Nats, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, trusted: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """In one line that quotes neither."""
    caplog.set_level(logging.DEBUG, "chatrooms")
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    why = "Authorization Violation" if trusted else "certificate verify failed"
    with pytest.raises(ConfigError, match=f"cannot be reached: .*{why}") as refused:
        await bus_of(at(secured, "chat:wr0ng" if trusted else "chat:s3cret"), None).open("a", len, bool)  # type: ignore[arg-type]
    assert not {"wr0ng", "s3cret"} & set(str(refused.value).replace("@", " ").replace(":", " ").split())
    assert "wr0ng" not in caplog.text and "s3cret" not in caplog.text


async def test_token() -> None:
    server = Nats("--auth", "t0ken")
    try:
        url = at(server, "t0ken", "nats")
        async with ears(Engine(lambda: bus_of(url, None), server.crash), "a", "b") as (a, b):
            await both_hear(a, b, b"hello")
    finally:
        server.kill()


async def test_failover_between_the_servers_of_a_cluster() -> None:
    """With users: whichever server dies, all nodes hear each other by the others; back, and the other dies."""
    routes = [free_port(), free_port()]
    route = ",".join(f"nats://127.0.0.1:{port}" for port in routes)
    servers = [Nats(*USER, "--cluster", f"nats://127.0.0.1:{port}", "--routes", route) for port in routes]
    url = ",".join(at(server, "chat:s3cret", "nats") for server in servers)
    try:
        async with ears(Engine(lambda: bus_of(url, None), servers[0].crash), "a", "b", "c") as all_of_them:
            for round, server in enumerate(servers):
                text = b"with all %d" % round
                await repeated(all_of_them, text)
                server.kill()
                await repeated(all_of_them, b"without one %d" % round)
                await asyncio.to_thread(server.start)
    finally:
        for server in servers:
            server.kill()


async def repeated(ears: list[Ear], text: bytes) -> None:
    """Returns when all have heard it, said as often as it takes: servers of a cluster find each other in time."""
    async with asyncio.timeout(30):
        while not all(text in ear.heard for ear in ears):
            for ear in ears:
                ear.bus.send(ALL, text)
            await asyncio.sleep(0.05)
