"""The statements that the SQLite engine makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatrooms.log.sqlite import MOST_ROWS, SQLite


@pytest.mark.gen_test(timeout=30)
async def test_any_number_of_rows_is_inserted_in_order(tmp_path: Path) -> None:
    """Many go into one statement; all arrive, once."""
    database = SQLite(tmp_path / "rows.db")
    await database.open()
    try:
        for count in (0, 1, 2, 3, 7, MOST_ROWS - 1, MOST_ROWS, MOST_ROWS + 1, 3 * MOST_ROWS + 5):
            rows = [(f"topic {count}", number) for number in range(count)]
            async with database.transaction() as tx:
                await tx.insert("event_topics", ("topic", "seq"), rows)
            found = await database.fetch("select topic, seq from event_topics where topic = $1", f"topic {count}")
            assert found == rows
    finally:
        await database.close()


@pytest.mark.gen_test(timeout=30)
async def test_places_may_be_in_any_order_and_repeat(tmp_path: Path) -> None:
    """As `$2, $1, $2`."""
    database = SQLite(tmp_path / "places.db")
    await database.open()
    try:
        assert await database.fetch("select $2, $1, $2, $11", *"abcdefghijk") == [("b", "a", "b", "k")]
    finally:
        await database.close()
