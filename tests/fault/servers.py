"""Servers of a measurement's own, without proxies in between, which would cost what is measured."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from arc_eval_db.consumers import measure_lag
from arc_eval_db.consumers.kafka import LogReader, TopicsAdmin
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.local import LocalStack, StackOptions
from arc_eval_db.migrations import Migrator
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.settings import KafkaSettings
from fault.stack import FaultServer
from support.conditions import eventually
from support.databases import connect

PARTITIONS = 6


@dataclass(frozen=True, slots=True)
class MeasuredServers:
    """A broker with its topics and a migrated database, which waits for its disk as in production."""

    directory: Path
    """For logs, and whatever else is to be gone afterwards."""
    environment: Mapping[str, str]
    """The variables that lead to both."""
    broker: FaultServer
    database_server: FaultServer

    @property
    def kafka(self) -> KafkaSettings:
        """The broker."""
        return KafkaSettings.from_environment(self.environment)

    @property
    def database(self) -> DatabaseSettings:
        """The database."""
        return DatabaseSettings.load(database_url=self.environment["ARC_EVAL_DATABASE_URL"])

    async def lag(self, group: str) -> int:
        """Records that a group has still to write."""
        topics = TopicNames(self.kafka.topic_prefix).all
        async with LogReader(self.kafka) as reader, await connect(self.database) as session:
            return sum(item.lag_messages for item in await measure_lag(reader, session, group, topics))

    async def caught_up(self, group: str, timeout_s: float) -> None:
        """Wait until a group has written everything."""

        async def is_so() -> bool:
            return await self.lag(group) == 0

        await eventually(is_so, f"{group} has caught up", timeout_s=timeout_s)


@contextlib.asynccontextmanager
async def measured_servers(postgres_settings: Mapping[str, str] | None = None) -> AsyncIterator[MeasuredServers]:
    """Both servers as long as the block, in a directory that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="arc-eval-load-", ignore_cleanup_errors=True) as directory:
        options = replace(StackOptions.from_environment(os.environ), postgres_settings=postgres_settings or {})
        stack = LocalStack(Path(directory) / "stack", options)
        try:
            await asyncio.to_thread(stack.up)
            servers = MeasuredServers(
                Path(directory),
                stack.environment(),
                FaultServer(stack, stack._kafka),
                FaultServer(stack, stack._postgres),
            )
            async with await connect(servers.database) as session:
                await Migrator(session).up()
            async with TopicsAdmin(servers.kafka) as admin:
                await admin.create(partitions=PARTITIONS)
            yield servers
        finally:
            await asyncio.to_thread(stack.down)
