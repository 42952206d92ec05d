"""Topics whose records are as old as a test says, and members of a group that read nothing."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Any

from arc_eval_db.consumers import ConsumerSettings
from arc_eval_db.consumers.kafka import GroupSource
from arc_eval_db.consumers.lag import LagReport, LagWatcher, PartitionReport
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import OffsetRange, OffsetStore, TopicPartition
from support.conditions import eventually
from support.topics import create_topic

HOUR_S = 3600.0


async def dated_topics(kafka: KafkaSettings, **config: str) -> KafkaSettings:
    """Topics of one partition whose records have the time that they are produced with, instead of their arrival's."""
    dated = replace(kafka, topic_prefix=f"dated-{secrets.token_hex(6)}")
    wanted = {"message.timestamp.type": "CreateTime"} | {name.replace("_", "."): text for name, text in config.items()}
    for topic in TopicNames(dated.topic_prefix).all:
        await create_topic(dated, topic, 1, wanted)
    return dated


def consumer_settings(group: str, **values: Any) -> ConsumerSettings:
    """Of a worker that is quick to notice."""
    return ConsumerSettings.load(
        **{"group": group, "poll_timeout_s": 0.1, "session_timeout_s": 6, "retry_backoff_s_max": 0.5, **values}
    )


@contextlib.asynccontextmanager
async def member(kafka: KafkaSettings, group: str) -> AsyncIterator[None]:
    """A member of the group that has all partitions, and reads none."""
    topics = TopicNames(kafka.topic_prefix).all
    source, stopping = GroupSource(kafka, consumer_settings(group), topics), asyncio.Event()
    await source.start()
    idle = asyncio.create_task(source.idle(600, stopping))
    try:
        await eventually(lambda: {each.topic for each in source.assigned()} == set(topics), "the group is formed")
        yield
    finally:
        stopping.set()
        await idle
        await source.close()


async def look(kafka: KafkaSettings, database: DatabaseSettings, group: str) -> LagReport:
    """One look at all topics."""
    async with LagWatcher(kafka, database, group, TopicNames(kafka.topic_prefix).all) as watcher:
        return await watcher.look()


def of(report: LagReport, partition: TopicPartition) -> PartitionReport:
    """What a report says of one partition."""
    (found,) = [each for each in report.partitions if each.lag.partition == partition]
    return found


async def stand_at(session: Session, group: str, partition: TopicPartition, offsets: Iterable[int]) -> None:
    """Move a group, as its worker does: to the first of the offsets, and from each to the next."""
    store = OffsetStore(group)
    before: int | None = None
    for offset in offsets:
        if before is None:
            await store.start_at(session, {partition: offset})
        else:
            async with session.transaction():
                await store.advance(session, {partition: OffsetRange(before, offset)})
        before = offset
