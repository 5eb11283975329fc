"""The bus between nodes: NATS, PostgreSQL, that of workers on one machine, or none."""

from __future__ import annotations

from chatrooms.cluster.bus.base import Bus, Intake, LocalBus, Worker, WorkerBus
from chatrooms.errors import ConfigError


def bus_of(bus_url: str | None, database_url: str | None, worker: Worker | None = None) -> Bus:
    """NATS where it is given, else LISTEN/NOTIFY of a PostgreSQL database, else none.

    Workers that share an SQLite file need no server between them. Raises ConfigError when what it needs is not
    installed.
    """
    if worker is not None and not database_url:
        return WorkerBus(worker)
    if bus_url:
        try:
            from chatrooms.cluster.bus.nats import NatsBus
        except ImportError:
            raise ConfigError("--bus-url: NATS needs nats-py: pip install 'chatrooms[nats]'") from None
        return NatsBus(bus_url)
    if database_url:
        from chatrooms.cluster.bus.postgres import PostgresBus

        return PostgresBus(database_url)
    return LocalBus()


def intake_of(bus_url: str, subject: str) -> Intake:
    """Where messages of other programs come in; NATS is known to be installed."""
    from chatrooms.cluster.bus.nats import NatsIntake

    return NatsIntake(bus_url, subject)
