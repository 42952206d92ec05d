"""A worker's samples of its lag: bounded, and never in the way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
import structlog

from arc_eval_db.consumers import Worker
from arc_eval_db.consumers.lag.measuring import Unread
from arc_eval_db.consumers.lag.sampling import LagSampler
from arc_eval_db.consumers.metrics import WorkerMetrics
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.schemas.topics import TOOL_USED, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.sql import queries
from arc_eval_db.writer import TopicPartition
from support.conditions import eventually
from support.databases import connect
from support.events import event
from support.lagging import consumer_settings
from support.log import send_events
from support.topics import produce

pytestmark = [pytest.mark.database, pytest.mark.kafka]

AWAY = "postgresql://nobody@127.0.0.1:1/none"


Sampling = Callable[..., LagSampler]


@pytest.fixture
async def sampler(kafka_settings: KafkaSettings, database: DatabaseSettings, group: str) -> AsyncIterator[Sampling]:
    """Makes samplers of one group, of given positions."""
    made: list[LagSampler] = []

    def make(positions: Mapping[TopicPartition, int], **arguments: Any) -> LagSampler:
        metrics = arguments.pop("metrics", None) or WorkerMetrics()
        where = arguments.pop("database", database)
        made.append(LagSampler(kafka_settings, where, group, 60, metrics, lambda: positions, **arguments))
        return made[-1]

    yield make
    for each in made:
        await each.close()


async def sampled(session: Session) -> list[tuple[Any, ...]]:
    rows = await session.fetch(
        "SELECT partition, next_offset, log_start_offset, log_end_offset, lag_messages, lag_seconds"
        " FROM consumer_lag_samples ORDER BY partition, time"
    )
    return [tuple(row.values()) for row in rows]


async def test_a_sample_says_what_is_unread(kafka_settings: KafkaSettings, session: Session, sampler: Sampling) -> None:
    topic = TopicNames(kafka_settings.topic_prefix).of_type(TOOL_USED)
    behind, caught_up = TopicPartition(topic, 0), TopicPartition(topic, 1)
    await produce(kafka_settings, behind, [event(TOOL_USED) for _ in range(3)])
    metrics = WorkerMetrics()
    positions = {behind: 1, caught_up: 0}
    sampling = sampler(positions, metrics=metrics)
    assert await sampling.sample()
    first, second = await sampled(session)
    assert (first[:5], second) == ((0, 1, 0, 3, 2), (1, 0, 0, 0, 0, 0.0))
    assert first[5] > 0
    assert metrics.value("arc_eval_consumer_lag_messages", topic=topic, partition="0") == 2
    assert metrics.value("arc_eval_consumer_lag_seconds", topic=topic, partition="0") > 0
    assert metrics.value("arc_eval_consumer_lag_messages", topic=topic, partition="1") == 0

    async def of_no_age(*_: object) -> dict[TopicPartition, Unread]:
        return {behind: Unread(2), caught_up: Unread(0)}

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("arc_eval_db.consumers.lag.sampling.read_unread", of_no_age)
        assert await sampling.sample()
    seconds = metrics.registry.get_sample_value
    assert seconds("arc_eval_consumer_lag_seconds", {"topic": topic, "partition": "0"}) is None, "its age is unknown"
    del positions[behind]
    assert await sampling.sample()
    labels = {"topic": topic, "partition": "0"}
    assert metrics.registry.get_sample_value("arc_eval_consumer_lag_messages", labels) is None, "another's by now"


async def test_there_is_one_sample_a_partition_and_interval_whoever_takes_it(
    kafka_settings: KafkaSettings, session: Session, sampler: Sampling
) -> None:
    partition = TopicPartition(TopicNames(kafka_settings.topic_prefix).of_type(TOOL_USED), 0)
    samplers = [sampler({partition: 0}) for _ in range(4)]
    assert all(await asyncio.gather(*(each.sample() for each in samplers)))
    assert await samplers[0].sample()
    assert len(await sampled(session)) == 1
    await session.execute("UPDATE consumer_lag_samples SET time = time - INTERVAL '61 seconds'")
    assert all(await asyncio.gather(*(each.sample() for each in samplers)))
    assert len(await sampled(session)) == 2


async def test_a_worker_waits_while_another_takes_the_sample(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str, sampler: Sampling
) -> None:
    partition = TopicPartition(TopicNames(kafka_settings.topic_prefix).of_type(TOOL_USED), 0)
    async with await connect(database) as other:
        async with other.transaction():
            await other.execute(queries("lag")["lock_lag_samples"], group)
            await other.execute(
                "INSERT INTO consumer_lag_samples (time, consumer_group, topic, partition, next_offset,"
                " log_start_offset, log_end_offset, lag_messages) VALUES (now(), $1, $2, $3, 0, 0, 0, 0)",
                *(group, *partition),
            )
            taking = asyncio.create_task(sampler({partition: 0}).sample())

            async def waits() -> bool:
                waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                return taking.done() or bool(await session.fetch_value(waiting))

            await eventually(waits, "it waits for the other")
        assert await taking
    assert len(await sampled(session)) == 1


async def test_a_database_that_is_to_be_left_alone_is(kafka_settings: KafkaSettings, sampler: Sampling) -> None:
    partition = TopicPartition(TopicNames(kafka_settings.topic_prefix).of_type(TOOL_USED), 0)
    away = DatabaseSettings.load(database_url=AWAY)
    assert await sampler({partition: 0}, database=away, may_write=lambda: False).sample()
    metrics = WorkerMetrics()
    with structlog.testing.capture_logs() as logs:
        assert not await sampler({partition: 0}, database=away, metrics=metrics).sample()
    assert metrics.value("arc_eval_consumer_lag_samples_failed_total") == 1
    assert [entry["event"] for entry in logs] == ["lag_sample_failed"]


async def test_a_worker_samples_its_partitions(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    await send_events(kafka_settings, [event(TOOL_USED) for _ in range(5)])
    worker = Worker(kafka_settings, database, consumer_settings(group, lag_sample_interval_s=0.2))
    running = asyncio.create_task(worker.run())

    async def all_sampled() -> bool:
        count = await session.fetch_value("SELECT count(DISTINCT (topic, partition)) FROM consumer_lag_samples")
        return bool(count == 6)

    await eventually(all_sampled, "each partition has a sample")
    worker.stop()
    await asyncio.wait_for(running, 30)
    assert worker.metrics.value("arc_eval_consumer_lag_samples_failed_total") == 0


@pytest.mark.parametrize("error", [RuntimeError("a bug"), OSError("a disk"), KeyError("another bug")])
async def test_a_worker_goes_on_where_sampling_fails(
    kafka_settings: KafkaSettings,
    database: DatabaseSettings,
    session: Session,
    group: str,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(LagSampler, "_write", fail)
    worker = Worker(kafka_settings, database, consumer_settings(group, lag_sample_interval_s=0.05))
    running = asyncio.create_task(worker.run())
    failed = "arc_eval_consumer_lag_samples_failed_total"
    await eventually(lambda: worker.metrics.value(failed) >= 2, "it was tried again")
    await send_events(kafka_settings, [event(TOOL_USED) for _ in range(5)])
    await eventually(lambda: worker.report.records == 5, "the worker goes on")
    worker.stop()
    await asyncio.wait_for(running, 30)
    assert await session.fetch_value("SELECT count(*) FROM tool_usage") == 5


async def test_a_cancellation_that_is_swallowed_does_not_keep_the_worker(
    kafka_settings: KafkaSettings, database: DatabaseSettings, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As aiokafka does now and then while it connects."""
    asked = asyncio.Event()

    async def swallow(*_: object) -> list[object]:
        if asked.is_set():
            await asyncio.Event().wait()
        asked.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return []

    monkeypatch.setattr(LagSampler, "_measure", swallow)
    worker = Worker(kafka_settings, database, consumer_settings(group, lag_sample_interval_s=0.05))
    running = asyncio.create_task(worker.run())
    await asked.wait()
    worker.stop()
    await asyncio.wait_for(running, 20)


async def test_a_worker_that_is_told_not_to_takes_no_sample(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    worker = Worker(kafka_settings, database, consumer_settings(group, lag_sample_interval_s=0))
    running = asyncio.create_task(worker.run())
    progress = "arc_eval_consumer_progress_timestamp_seconds"
    await eventually(lambda: worker.metrics.value(progress) > 0, "the worker is at work")
    worker.stop()
    await asyncio.wait_for(running, 30)
    assert await sampled(session) == []
