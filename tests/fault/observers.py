"""Who watches during a run: a reader of the rows, and one who compares Kafka's record of the offsets with ours.

They go to the database past the proxies, and put up with servers that are away.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import TopicPartition
from fault.evidence import TYPE_OF_TABLE
from support.conditions import eventually
from support.databases import connect

_PAUSE_S = 0.2
_ANSWER_TIMEOUT_S = 5.0


class Observer:
    """Looks again and again, and keeps what it objects to."""

    def __init__(self) -> None:
        self.looks = 0
        """How often it could see something."""
        self.objections: set[str] = set()

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch during the block."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            # A cancellation can be lost: asyncpg, and `wait_for` of Python 3.11, may replace it by something else.
            while not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=1)

    async def sees_again(self, *, timeout_s: float = 40.0) -> None:
        """Wait until it has seen something from here on: one that never does objects to nothing.

        Both servers must answer, so that this can be asked after every run, whatever was away during it.
        """
        before = self.looks
        await eventually(lambda: self.looks > before, f"{type(self).__name__} sees something", timeout_s=timeout_s)

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(ArcEvalError, KafkaError, OSError, TimeoutError):
                await self._with_clients()
            await asyncio.sleep(_PAUSE_S)

    async def _with_clients(self) -> None:
        raise NotImplementedError

    async def _again_and_again(self, look: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            await asyncio.wait_for(look(), _ANSWER_TIMEOUT_S)
            self.looks += 1
            await asyncio.sleep(_PAUSE_S)


class RowReader(Observer):
    """Never sees an event twice, nor a row that its group's offset has not passed: a part of a batch."""

    def __init__(self, database: DatabaseSettings, group: str, prefix: str) -> None:
        super().__init__()
        self._database = database
        self._group = group
        topics = TopicNames(prefix)
        rows = " UNION ALL ".join(
            f"SELECT event_id, '{topics.of_type(kind)}' AS topic, log_partition, log_offset FROM {table}"
            for table, kind in TYPE_OF_TABLE.items()
        )
        # One statement is one snapshot.
        self._query = f"""
            SELECT count(*) - count(DISTINCT event_id) AS twice,
                count(*) FILTER (WHERE o.next_offset IS NULL OR r.log_offset >= o.next_offset) AS ahead
            FROM ({rows}) AS r
            LEFT JOIN consumer_offsets AS o
                ON o.consumer_group = $1 AND o.topic = r.topic AND o.partition = r.log_partition
        """

    async def _with_clients(self) -> None:
        session = await connect(self._database)
        try:
            await self._again_and_again(lambda: self._look(session))
        finally:
            session.terminate()

    async def _look(self, session: Session) -> None:
        row = (await session.fetch(self._query, self._group))[0]
        if row["twice"]:
            self.objections.add("I2: a reader saw an event twice during the run")
        if row["ahead"]:
            self.objections.add("I3: a reader saw rows of a batch whose offset had not moved")


class CommitReader(Observer):
    """I7: what Kafka has recorded for the group is never ahead of the database."""

    def __init__(self, kafka: KafkaSettings, database: DatabaseSettings, group: str) -> None:
        super().__init__()
        self._kafka = kafka
        self._database = database
        self._group = group

    async def _with_clients(self) -> None:
        admin = AIOKafkaAdminClient(**self._kafka.client_options())
        session = await connect(self._database)
        try:
            await asyncio.wait_for(admin.start(), _ANSWER_TIMEOUT_S)
            await self._again_and_again(lambda: self._look(admin, session))
        finally:
            session.terminate()
            await asyncio.wait_for(admin.close(), _ANSWER_TIMEOUT_S)

    async def _look(self, admin: AIOKafkaAdminClient, session: Session) -> None:
        committed = await admin.list_consumer_group_offsets(self._group)
        rows = await session.fetch(
            "SELECT topic, partition, next_offset FROM consumer_offsets WHERE consumer_group = $1", self._group
        )
        stored = {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
        for native, metadata in committed.items():
            partition = TopicPartition(native.topic, native.partition)
            if metadata.offset > stored.get(partition, -1):
                self.objections.add(f"I7: Kafka was told {metadata.offset} of {partition}, ahead of the database")
