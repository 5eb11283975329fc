"""Streams open in slices (resume.py, Admission)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from chatrooms.errors import Unavailable
from chatrooms.streams import resume
from chatrooms.streams.resume import Admission, Place
from tests.helpers.chat import eventually

pytestmark = pytest.mark.gen_test(timeout=30)


class Turns:
    """Counts the turns of the event loop."""

    def __init__(self) -> None:
        self.count = 0
        self._next()

    def _next(self) -> None:
        self.count += 1
        asyncio.get_running_loop().call_soon(self._next)


async def opened(place: Place, open: Callable[[], object]) -> None:
    """What a reader does."""
    if await place:
        open()


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice is a single stream."""
    monkeypatch.setattr(resume, "OPENING_SLICE", 0.0)


async def test_one_that_comes_alone_does_not_wait() -> None:
    """Its place is its turn."""
    admission = Admission()
    assert admission.place().done()
    assert admission.waiting == 0


async def test_they_open_in_the_order_in_which_they_came() -> None:
    """However long the slices are."""
    admission, order = Admission(), list[int]()
    await asyncio.gather(*(opened(admission.place(), lambda n=n: order.append(n)) for n in range(500)))  # type: ignore[misc]
    assert order == list(range(500))
    assert admission.waiting == 0


@pytest.mark.usefixtures("one_by_one")
async def test_everything_else_has_its_turn_between_slices() -> None:
    """A hundred slices take a hundred turns, but for the first, which comes at once."""
    admission, turns, seen = Admission(), Turns(), list[int]()
    await asyncio.gather(*(opened(admission.place(), lambda: seen.append(turns.count)) for _ in range(100)))
    assert len(set(seen)) >= 99


async def test_quick_ones_share_a_slice_up_to_a_bound() -> None:
    """Those that wait for the database cost nothing yet."""
    admission, turns, seen = Admission(), Turns(), list[int]()
    await asyncio.gather(*(opened(admission.place(), lambda: seen.append(turns.count)) for _ in range(1000)))
    assert max(seen.count(turn) for turn in seen) <= resume.MAX_ADMITTED
    assert len(set(seen)) >= 1000 // resume.MAX_ADMITTED


async def test_one_that_leaves_frees_its_place() -> None:
    """The others move up."""
    admission, order = Admission(), list[int]()
    places = [admission.place() for _ in range(5)]
    opening = [asyncio.create_task(opened(place, lambda n=n: order.append(n))) for n, place in enumerate(places)]  # type: ignore[misc]
    admission.leave(places[2])
    admission.leave(places[0])  # its turn has come: too late
    assert admission.waiting == 3
    await asyncio.gather(*opening)
    assert order == [0, 1, 3, 4]


@pytest.mark.usefixtures("one_by_one")
async def test_cancelled_ones_hold_nobody_up() -> None:
    """A task that waits may be cancelled with its connection."""
    admission, order = Admission(), list[int]()
    opening = [asyncio.create_task(opened(admission.place(), lambda n=n: order.append(n))) for n in range(5)]  # type: ignore[misc]
    opening[1].cancel()
    await eventually(lambda: order == [0, 2, 3, 4])


async def test_places_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader beyond the bound is refused, and there is room again once others have had their turn."""
    monkeypatch.setattr(resume, "MAX_OPENING", 3)
    admission = Admission()
    places = [admission.place() for _ in range(4)]
    with pytest.raises(Unavailable, match="Too many"):
        admission.place()
    assert await places[-1]
    assert await admission.place()


async def test_a_crowd_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the front door lets connections in one by one."""
    monkeypatch.setattr(resume, "CROWD", 2)
    admission = Admission()
    places = [admission.place() for _ in range(3)]
    assert not admission.crowded
    places.append(admission.place())
    assert admission.crowded
    await places[-1]
    assert not admission.crowded
