"""Fixtures for all tests."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith("CHATROOMS_") and not name.startswith("CHATROOMS_TEST_"):
            monkeypatch.delenv(name)
