"""Refresh tokens: parallel tabs, lost answers, theft, and a long day."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from benchmarks.server_process import SECRET
from chatrooms.errors import Unauthorized
from chatrooms.options import Options
from chatrooms.server.parts import Parts
from chatrooms.users.signins import SignedIn, SignIns

pytestmark = pytest.mark.every_engine

HOUR = 3600.0


class Place(NamedTuple):
    """Where a server has its data: a database's URL, or a folder."""

    url: str | None
    folder: Path


@pytest.fixture
def place(tmp_path: Path, database_url: str | None) -> Place:
    return Place(database_url, tmp_path)


@asynccontextmanager
async def signins(place: Place, now: list[float]) -> AsyncIterator[SignIns]:
    """Sign-ins of a real server, by a clock of ours; without the housekeeping, which goes by the real one."""
    server = Parts(Options({"secret": SECRET, "database_url": place.url}, {}), place.folder)
    await server.open()
    server.tokens._clock = lambda: now[0]
    try:
        yield SignIns(server.database, server.log, server.tokens, SECRET, server.options, lambda: now[0])
    finally:
        await server.close()


@pytest.mark.gen_test
async def test_parallel_refreshes_give_one_successor(place: Place) -> None:
    """Twenty tabs at once: the same successor twenty times."""
    async with signins(place, [1e9]) as made:
        first = await made.begin("ada", "Ada", "user")
        answers = await asyncio.gather(*(made.refresh(first.refresh_token) for _ in range(20)))
        assert len({answer.refresh_token for answer in answers}) == 1
        second = await made.refresh(answers[0].refresh_token)
        with pytest.raises(Unauthorized):
            await made.refresh(first.refresh_token)
        with pytest.raises(Unauthorized):  # the family is dead
            await made.refresh(second.refresh_token)


@pytest.mark.gen_test
async def test_lost_answer_does_no_harm(place: Place) -> None:
    """Who never saw the successor asks again with the old one."""
    async with signins(place, [1e9]) as made:
        first = await made.begin("ada", "Ada", "user")
        lost = await made.refresh(first.refresh_token)
        again = await made.refresh(first.refresh_token)
        assert again.refresh_token == lost.refresh_token
        assert (await made.refresh(again.refresh_token)).user_id == "ada"


@pytest.mark.gen_test(timeout=30)
async def test_two_browsers_stay_signed_in_for_a_day(place: Place) -> None:
    """Each keeps its own copy of the refresh token and renews in its turn; nobody is ever signed out."""
    now = [1e9]
    async with signins(place, now) as made:
        first = await made.begin("ada", "Ada", "user")
        browsers: list[SignedIn] = [first, first]
        for step in range(int(24 * HOUR / 420)):
            now[0] += 420.0
            mine = browsers[step % 2].refresh_token
            # Sometimes two or three tabs of that browser ask at once.
            answers = await asyncio.gather(*(made.refresh(mine) for _ in range(1 + step % 3)))
            browsers[step % 2] = answers[0]
            for browser in browsers:
                assert made._tokens.verify(browser.token).user_id == "ada"


@pytest.mark.gen_test
async def test_refresh_token_ends_when_it_was_not_used_for_long(place: Place) -> None:
    """After refresh-ttl; every use renews that time."""
    now = [1e9]
    async with signins(place, now) as made:
        tokens = await made.begin("ada", "Ada", "user")
        for _ in range(3):
            now[0] += 29 * 24 * HOUR
            tokens = await made.refresh(tokens.refresh_token)
        now[0] += 31 * 24 * HOUR
        with pytest.raises(Unauthorized):
            await made.refresh(tokens.refresh_token)


@pytest.mark.gen_test
async def test_forged_refresh_tokens_are_refused(place: Place) -> None:
    """Every part is covered by the code at its end."""
    async with signins(place, [1e9]) as made:
        good = (await made.begin("ada", "Ada", "user")).refresh_token
        family, number, mac = good.split(".")
        flipped = mac[:-1] + ("0" if mac[-1] != "0" else "1")
        tails = ["", ".", number, f"1.{mac}", f"0.{flipped}", f"-1.{mac}", f"٠.{mac}", "0.é", f"0.{mac}."]
        forged = ["", ".", "..", family, f"x{good}", *(f"{family}.{tail}" for tail in tails)]
        for token in forged:
            with pytest.raises(Unauthorized):
                await made.refresh(token)
        assert (await made.refresh(good)).user_id == "ada"
