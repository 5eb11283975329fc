"""File descriptors: one a stream; as many as may be needed."""

from __future__ import annotations

import logging
import resource

SPARE = 500  # descriptors beyond those of the streams: calls, files, the database

log = logging.getLogger(__name__)


def allow(max_streams: int) -> None:
    """Raises this process's limit, as far as it may, to what that many streams need (0: no bound)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max_streams + SPARE if max_streams else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < wanted:
        log.warning("only %d file descriptors are allowed: too few for %d streams", soft, max_streams)
