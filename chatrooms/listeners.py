"""Listeners: who is told what has happened. What one of them raises is its own fault, and nobody else's."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import PurePath
from typing import ParamSpec

P = ParamSpec("P")

log = logging.getLogger(__name__)


def tell(listener: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Calls a listener; a fault in it is logged, and whoever calls goes on."""
    try:
        listener(*args, **kwargs)
    except Exception as error:
        log.error("%s failed: %s", getattr(listener, "__qualname__", "a listener"), described(error))


def described(error: BaseException) -> str:
    """The kind of an error and its place, as `ValueError at topic.py:12`.

    Without its text, which may quote what somebody wrote, or a secret.
    """
    place = error.__traceback__
    if place is None:
        return type(error).__name__
    while place.tb_next is not None:
        place = place.tb_next
    return f"{type(error).__name__} at {PurePath(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}"
