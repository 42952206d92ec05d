"""The servers that are measured: an embedded stack for the time of a benchmark, or those that are there already."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import Migrator
from arc_eval_db.settings import KafkaSettings

POSTGRES_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        # A quarter of a small machine: the indexes of a run fit.
        "shared_buffers": "512MB",
        # A run writes less than this, and each begins after a checkpoint: none comes in between.
        "max_wal_size": "8GB",
        "checkpoint_timeout": "30min",
    }
)
"""What the embedded PostgreSQL is given besides the stack's own settings. Durability stays as in production."""

REPORTED_SETTINGS = (
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "autovacuum",
)
"""The settings of PostgreSQL that a report names."""

_KAFKA_HEAP_MB = 1024


@dataclass(frozen=True, slots=True)
class Servers:
    """Where Kafka and PostgreSQL are."""

    kafka: KafkaSettings
    database: DatabaseSettings
    """Its user may create databases."""
    environment: Mapping[str, str]
    """The variables that lead a process there."""
    embedded: bool
    """Whether the broker is of a stack that is gone afterwards."""


@contextlib.contextmanager
def embedded_servers(report: Callable[[str], None], *, database_url: str | None = None) -> Iterator[Servers]:
    """A stack of its own in a temporary directory, which is gone at the end.

    Args:
        database_url: use this PostgreSQL in place of the stack's.

    Raises:
        MissingExtraError: the extra `local` is not installed.
    """
    from arc_eval_db.local import LocalStack, StackOptions  # noqa: PLC0415 - needs the extra

    options = StackOptions.from_environment(os.environ)
    options = replace(options, postgres_settings=POSTGRES_SETTINGS, kafka_heap_mb=_KAFKA_HEAP_MB)
    with tempfile.TemporaryDirectory(prefix="arc-eval-bench-", ignore_cleanup_errors=True) as directory:
        stack = LocalStack(Path(directory), options)
        try:
            stack.up(report)
            environment = {**stack.environment(), "ARC_EVAL_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}
            if database_url is not None:
                environment["ARC_EVAL_DATABASE_URL"] = database_url
            yield _servers(environment, embedded=True)
        finally:
            stack.down()


def given_servers(*, database_url: str | None = None) -> Servers:
    """Those that the environment names; a database URL that is passed wins."""
    return _servers({} if database_url is None else {"ARC_EVAL_DATABASE_URL": database_url}, embedded=False)


def _servers(environment: Mapping[str, str], *, embedded: bool) -> Servers:
    url = environment.get("ARC_EVAL_DATABASE_URL")
    return Servers(
        KafkaSettings.from_environment({**os.environ, **environment}),
        DatabaseSettings.load() if url is None else DatabaseSettings.load(database_url=url),
        environment,
        embedded,
    )


async def describe(servers: Servers) -> dict[str, Any]:
    """What a report says about them; no address and no password."""
    async with await Session.connect(servers.database, application_name="arc-eval-db bench") as session:
        settings = {name: await session.fetch_value(f"SHOW {name}") for name in REPORTED_SETTINGS}
        return {
            "kafka": "embedded" if servers.embedded else "given",
            "postgresql": await session.fetch_value("SHOW server_version"),
            "edition": (await Migrator(session).edition()).value,
            "settings": settings,
        }
