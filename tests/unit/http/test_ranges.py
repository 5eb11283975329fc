"""Parts of files (RFC 9110, section 14)."""

from __future__ import annotations

import pytest

from chatrooms.http.tasks import Part, part_of

WHOLE = Part(0, 100, True)


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("", WHOLE), ("bytes=0-9", Part(0, 10, False)), ("bytes=90-", Part(90, 100, False)),
        ("bytes=-10", Part(90, 100, False)), ("bytes=-1000", Part(0, 100, False)),
        ("bytes=50-1000", Part(50, 100, False)),
        ("bytes=99-99", Part(99, 100, False)), ("Bytes=0-0", Part(0, 1, False)),
        ("bytes=100-", None), ("bytes=-0", None), ("bytes=200-300", None),
        ("bytes=9-0", WHOLE), ("bytes=0-1,5-6", WHOLE), ("bytes=-", WHOLE), ("lines=0-9", WHOLE), ("bytes=a-b", WHOLE),
        ("bytes=\u0661-", WHOLE), ("bytes=" + "9" * 30 + "-", WHOLE),
    ],
)  # fmt: skip
def test_range(header: str, part: Part | None) -> None:
    assert part_of(100, header, "", '"x"') == part


def test_range_of_another_file_is_all_of_this_one() -> None:
    assert part_of(100, "bytes=5-9", '"y"', '"x"') == WHOLE
    assert part_of(100, "bytes=5-9", '"x"', '"x"') == Part(5, 10, False)


def test_nothing_has_no_part() -> None:
    assert part_of(0, "", "", "") == Part(0, 0, True)
    assert part_of(0, "bytes=0-", "", "") is part_of(0, "bytes=-5", "", "") is None
