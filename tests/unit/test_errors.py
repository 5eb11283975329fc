"""The closed catalogue of errors."""

from __future__ import annotations

import re

import pytest

from chatrooms import errors
from chatrooms.errors import CODES, Problem


def test_unlisted_code_cannot_be_raised() -> None:
    """Clients decide by code, so none comes as a surprise."""
    with pytest.raises(ValueError, match="unlisted"):
        Problem("surprise", "Boo.")


def test_codes_are_slugs() -> None:
    """Lower case words with hyphens."""
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in CODES)


def test_every_kind_of_problem_has_a_status_of_its_own() -> None:
    """One class, one status."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Problem)]
    assert len({kind.status for kind in kinds}) == len(kinds)
