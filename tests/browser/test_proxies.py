"""The library behind nginx: it works, and says how."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.chromium import needs_chromium, server_and_tabs
from tests.browser.crowd import POLLING, SHARED, Person, all_hear
from tests.browser.proxies import DEFAULT, HOLDS_ALL, HOLDS_GET, NGINX, nginx
from tests.helpers.chat import within

FLAGS = ["--ignore-certificate-errors"]
LIMITS = {"firstByteMs": 1000, "heldMs": 60000}  # instead of 15 s
STREAMS = 8  # more than the six connections that a browser opens with HTTP/1.1

ALONE = {"state": "open", "via": "stream"}

pytestmark = [
    needs_chromium,
    pytest.mark.skipif(NGINX is None, reason="there is no nginx"),
]


@pytest.mark.parametrize(
    ("config", "shared", "alone"),
    [
        pytest.param(DEFAULT, SHARED, ALONE, id="default settings"),
        pytest.param(HOLDS_GET, SHARED, POLLING, id="holds GET back"),
        pytest.param(HOLDS_ALL, POLLING, POLLING, id="holds all back"),
    ],
)
@within(60)
async def test_behind_nginx(config: str, shared: object, alone: object, tmp_path: Path) -> None:
    """By a stream where one passes, else by polls, for who shares a connection and who does not."""
    async with (
        server_and_tabs(tmp_path, flags=FLAGS) as (server, tools),
        nginx(server.port, tmp_path / "nginx", config) as url,
    ):
        ada = await Person.enters(tools, url, "ada", limits=LIMITS)
        bob = await Person.enters(tools, url, "bob", limits=LIMITS, share=False)
        assert await ada.tab.evaluate("room.state") == shared
        assert await bob.tab.evaluate("room.state") == alone
        said = []
        for person in (ada, bob):
            said.append(f"hello from {person.name}")
            await person.say(said[-1])
        await all_hear([ada, bob], said)


@within(60)
async def test_http2_has_room_for_streams_of_their_own(tmp_path: Path) -> None:
    """Over one connection all of them and what is sent; shared or not."""
    async with (
        server_and_tabs(tmp_path, flags=FLAGS) as (server, tools),
        nginx(server.port, tmp_path / "nginx", http2=True) as url,
    ):
        ada = await Person.enters(tools, url, "ada", share=False)
        await ada.tab.evaluate(f"""
            window.rooms = Array.from({{length: {STREAMS}}}, (_, n) => chat.room(`room-${{n}}`));
            const opened = (room) => new Promise((done) => room.addEventListener("system", done));
            Promise.all(rooms.map(opened)).then(() => null)
        """)
        entry = 'performance.getEntriesByType("resource").find(({name}) => name.includes("/api/auth/guest"))'
        assert await ada.tab.evaluate(f"{entry}.nextHopProtocol") == "h2"
        bob = await Person.enters(tools, url, "bob")
        assert await bob.tab.evaluate("room.state.via") == "shared"
        for person in (ada, bob):
            await person.say(f"hello from {person.name}")
        await all_hear([ada, bob], ["hello from ada", "hello from bob"])
