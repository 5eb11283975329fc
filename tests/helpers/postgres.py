"""A real PostgreSQL server."""

from benchmarks.postgres import Postgres
from benchmarks.process import CouldNotRun as CannotRun
from benchmarks.process import free_port

__all__ = ["CannotRun", "Postgres", "free_port"]
