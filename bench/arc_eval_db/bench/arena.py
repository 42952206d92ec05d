"""Where runs happen: topics that are filled once, databases that are emptied before each run, and what they cost."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from arc_eval_db.bench.checks import COLUMNS, Sums, expected_sums
from arc_eval_db.bench.kafka import delete_topics, fill
from arc_eval_db.bench.server_processes import ServerProcess
from arc_eval_db.bench.servers import Servers
from arc_eval_db.bench.spawn import run_measured
from arc_eval_db.bench.wire import records
from arc_eval_db.bench.workloads import Workload
from arc_eval_db.consumers.kafka import TopicsAdmin
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.settings import KafkaSettings

RUN_TIMEOUT_S = 600.0

# What the server's process for a client has used is known when it has ended, a moment after the client.
_REAPED_S = 0.2

_TABLES = (
    *COLUMNS,
    "failure_patterns",
    "configuration_versions",
    "configurations",
    "scenarios",
    "simulations",
    "consumer_offsets",
    "dead_letters",
)


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds of both servers during a run; None where nobody can tell."""

    database_s: float | None
    broker_s: float | None


@dataclass(slots=True)
class Arena:
    """The servers of a benchmark, and what was made on them for it."""

    kafka: KafkaSettings
    server: DatabaseSettings
    environment: Mapping[str, str]
    """What every measured process needs besides."""
    report: Callable[[str], None]
    """Called with a line for a person at each step that takes time."""
    peers_python: str = sys.executable
    """The interpreter of the section `peers`."""
    notes: list[str] = field(default_factory=list)
    """What a reader of the figures has to know."""
    name: str = field(default_factory=lambda: f"bench-{secrets.token_hex(4)}")
    _topics: dict[str, KafkaSettings] = field(default_factory=dict)
    _databases: dict[str, DatabaseSettings] = field(default_factory=dict)
    _sums: dict[str, Sums] = field(default_factory=dict)

    def note(self, text: str) -> None:
        """Say something that belongs to the report."""
        self.notes.append(text)
        self.report(text)

    async def topics(self, workload: Workload) -> KafkaSettings:
        """Kafka with the topics that hold this workload, filled when they are first asked for."""
        key = repr(workload)
        if key not in self._topics:
            self.report(f"filling topics: {workload.records:,} records of {workload.name}")
            settings = await self.empty_topics(workload.name, workload.partitions)
            await fill(settings, records(workload))
            self._topics[key] = settings
        return self._topics[key]

    async def empty_topics(self, name: str, partitions: int) -> KafkaSettings:
        """New topics under a prefix of their own."""
        settings = replace(self.kafka, topic_prefix=f"{self.name}.{name}-{secrets.token_hex(2)}")
        async with TopicsAdmin(settings) as admin:
            await admin.create(partitions=partitions, replication=1)
        return settings

    async def database(
        self,
        name: str = "full",
        *,
        without_indexes: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> DatabaseSettings:
        """A migrated database, made when it is first asked for.

        Args:
            without_indexes: dropped from it.
            environment: of the process that migrates it, where that is not to be this release.
        """
        if name not in self._databases:
            database = f"{self.name}_{name}".replace("-", "_")
            async with await connect(self.server) as session:
                await session.execute(f"CREATE DATABASE {database} TEMPLATE template0")
            self._databases[name] = settings = self.server.with_database(database)
            await self.run("arc_eval_db.bench.runs.migrate", [{}], self.variables(None, settings, environment))
            async with await connect(settings) as session:
                for index in without_indexes:
                    await session.execute(f"DROP INDEX IF EXISTS {index}")
        return self._databases[name]

    @contextlib.asynccontextmanager
    async def empty_database(self, settings: DatabaseSettings) -> AsyncIterator[Session]:
        """The database without rows, and a session to look at it."""
        async with await connect(settings) as session:
            for table in _TABLES:
                await session.execute(f"TRUNCATE {table} CASCADE")
            with contextlib.suppress(ArcEvalError):  # not everybody may
                await session.execute("CHECKPOINT")
            yield session

    async def sums(self, workload: Workload, settings: DatabaseSettings) -> Sums:
        """What the tables must hold after this workload."""
        key = repr(workload)
        if key not in self._sums:
            self.report(f"summing up the rows that {workload.name} must become")
            async with await connect(settings) as session:
                self._sums[key] = await expected_sums(session, workload)
        return self._sums[key]

    def variables(
        self,
        kafka: KafkaSettings | None,
        database: DatabaseSettings | None,
        more: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """The environment that leads a measured process to topics and a database."""
        found = dict(self.environment)
        if kafka is not None:
            found["ARC_EVAL_TOPIC_PREFIX"] = kafka.topic_prefix
        if database is not None:
            found["ARC_EVAL_DATABASE_URL"] = database.database_url.get_secret_value()
        return {**found, **(more or {})}

    async def run(
        self,
        module: str,
        options: Sequence[Mapping[str, Any]],
        environment: Mapping[str, str],
        *,
        python: str = sys.executable,
    ) -> tuple[list[dict[str, Any]], Cost]:
        """Run a measured process for each of `options`, and say what that cost the servers meanwhile."""
        database = ServerProcess.of_database(self.server.database_url.get_secret_value())
        broker = ServerProcess.of_broker(self.kafka.bootstrap_servers or "")
        before = database.cpu_s(), broker.cpu_s()
        figures = await run_measured(module, options, environment, timeout_s=RUN_TIMEOUT_S, python=python)
        await asyncio.sleep(_REAPED_S)
        after = database.cpu_s(), broker.cpu_s()
        return figures, Cost(_difference(before[0], after[0]), _difference(before[1], after[1]))

    async def remove(self) -> None:
        """Drop what was made; servers that are not there any more are passed over."""
        with contextlib.suppress(Exception):
            await delete_topics(self.kafka, f"{self.name}.")
        with contextlib.suppress(ArcEvalError):
            async with await connect(self.server) as session:
                for settings in self._databases.values():
                    name = settings.database_url.get_secret_value().partition("?")[0].rpartition("/")[2]
                    await session.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextlib.asynccontextmanager
async def open_arena(
    servers: Servers, report: Callable[[str], None], *, peers_python: str = sys.executable
) -> AsyncIterator[Arena]:
    """An arena on servers that run; what was made on them is removed at the end, also after Ctrl-C."""
    arena = Arena(servers.kafka, servers.database, servers.environment, report, peers_python)
    try:
        yield arena
    finally:
        await asyncio.shield(asyncio.ensure_future(arena.remove()))


async def connect(settings: DatabaseSettings) -> Session:
    """A connection with patience: summing up a large table takes longer than a worker's statement may."""
    patient = settings.model_copy(
        update={"database_command_timeout_s": RUN_TIMEOUT_S, "database_statement_timeout_ms": 0}
    )
    return await Session.connect(patient, application_name="arc-eval-db bench")


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else max(0.0, after - before)
