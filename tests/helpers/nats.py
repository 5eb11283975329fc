"""A real NATS server."""

from benchmarks.nats_server import Nats

__all__ = ["Nats"]
