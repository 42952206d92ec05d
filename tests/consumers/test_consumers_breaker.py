"""The breaker around the database: an outage is waited out inside the group, and probed with little."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import aiokafka
import pytest
import structlog

from arc_eval_db.consumers import ConsumerSettings, Worker
from arc_eval_db.consumers.kafka import GroupSource
from arc_eval_db.consumers.sink import CommitReport, ExactlyOnceSink
from arc_eval_db.database import DatabaseSettings, Session, TransactionConflictError
from arc_eval_db.schemas.topics import TOOL_USED
from arc_eval_db.settings import KafkaSettings
from support.conditions import eventually
from support.databases import connect
from support.events import event
from support.log import send_events

pytestmark = [pytest.mark.database, pytest.mark.kafka]

EVENTS = 600


async def test_an_outage_is_waited_out_in_the_group_and_probed_with_a_small_batch(
    kafka_settings: KafkaSettings,
    database: DatabaseSettings,
    session: Session,
    group: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    joined: list[GroupSource] = []
    attempts: list[tuple[str, int]] = []
    start, write = GroupSource.start, ExactlyOnceSink.write

    async def counted_start(source: GroupSource) -> None:
        joined.append(source)
        await start(source)

    async def counted_write(sink: ExactlyOnceSink, session: Session, batch: Any, *arguments: Any) -> CommitReport:
        attempts.append(("refused", len(batch.rows)))
        report = await write(sink, session, batch, *arguments)
        attempts[-1] = ("written", len(batch.rows))
        return report

    monkeypatch.setattr(GroupSource, "start", counted_start)
    monkeypatch.setattr(ExactlyOnceSink, "write", counted_write)
    settings = ConsumerSettings.load(group=group, poll_timeout_s=0.1, session_timeout_s=6, retry_backoff_s_max=0.5)
    worker = Worker(kafka_settings, database, settings)

    async def all_there() -> bool:
        return bool(await session.fetch_value("SELECT count(*) FROM tool_usage") == EVENTS)

    with structlog.testing.capture_logs() as logs:
        running = asyncio.create_task(worker.run())
        await send_events(kafka_settings, [event(TOOL_USED)])
        await eventually(lambda: worker.report.inserted == 1, "the worker is at work")
        attempts.clear()
        await _read_only(database, True)
        await send_events(kafka_settings, [event(TOOL_USED) for _ in range(EVENTS - 1)])
        await eventually(lambda: len(attempts) >= 4, "four attempts")
        await eventually(lambda: worker.metrics.value("arc_eval_consumer_breaker_open") == 1, "it leaves it alone")
        await _read_only(database, False)
        await eventually(all_there, "all rows")
        worker.stop()
        await asyncio.wait_for(running, 30)
    assert worker.metrics.value("arc_eval_consumer_breaker_open") == 0
    assert len(joined) == 1
    assert worker.report.dead_letters == 0
    sizes = [size for fate, size in attempts if fate == "refused"]
    # The first was read before the outage showed; what is read after it is little.
    assert len(sizes) > 1
    assert all(size <= 100 for size in sizes[1:]), sizes
    first_written = next(size for fate, size in attempts if fate == "written")
    assert first_written <= 100
    states = [entry["state"] for entry in logs if entry["event"] == "breaker_changed"]
    assert states[:3] == ["open", "half_open", "open"]
    assert states[-2:] == ["half_open", "closed"]


async def test_a_conflict_is_an_answer_and_opens_nothing(
    kafka_settings: KafkaSettings, database: DatabaseSettings, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = ExactlyOnceSink.write
    conflicts = iter(range(3))

    async def conflicting(sink: ExactlyOnceSink, *arguments: Any) -> CommitReport:
        if next(conflicts, None) is not None:
            raise TransactionConflictError
        return await write(sink, *arguments)

    monkeypatch.setattr(ExactlyOnceSink, "write", conflicting)
    await send_events(kafka_settings, [event(TOOL_USED)])
    settings = ConsumerSettings.load(group=group, poll_timeout_s=0.1, retry_backoff_s_max=0.1)
    with structlog.testing.capture_logs() as logs:
        report = await Worker(kafka_settings, database, settings, until_caught_up=True).run()
    assert report.inserted == 1
    assert "breaker_changed" not in [entry["event"] for entry in logs]


async def test_a_worker_that_waits_stays_in_its_group(
    kafka_settings: KafkaSettings, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka throws out who has not polled for five minutes; for two seconds, here."""
    impatient = functools.partial(aiokafka.AIOKafkaConsumer, max_poll_interval_ms=2_000)
    monkeypatch.setattr("arc_eval_db.consumers.kafka.source.aiokafka.AIOKafkaConsumer", impatient)
    joined: list[GroupSource] = []
    start = GroupSource.start

    async def noted_start(source: GroupSource) -> None:
        joined.append(source)
        await start(source)

    monkeypatch.setattr(GroupSource, "start", noted_start)
    nowhere = DatabaseSettings.load(database_url="postgresql://nobody@127.0.0.1:1/nothing")
    settings = ConsumerSettings.load(group=group, poll_timeout_s=0.1, session_timeout_s=6, retry_backoff_s_max=30)
    worker = Worker(kafka_settings, nowhere, settings)

    def member() -> str:
        coordinator = joined[0]._consumer._coordinator if joined else None
        return coordinator.member_id if coordinator else ""

    running = asyncio.create_task(worker.run())
    await eventually(lambda: member() != "" and bool(joined[0].assigned()), "it is a member")
    first = member()
    for _ in range(40):
        await asyncio.sleep(0.1)
        assert member() == first
    assert len(joined) == 1
    assert worker.report.batches == 0
    worker.stop()
    await asyncio.wait_for(running, 30)


async def _read_only(database: DatabaseSettings, value: bool) -> None:
    """As a failover makes it: connections are lost, and later ones find it so."""
    async with await connect(database) as admin:
        await admin.execute("SET default_transaction_read_only = off")
        name = await admin.fetch_value("SELECT current_database()")
        await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {'on' if value else 'off'}")
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'arc-eval-db consumer'"
        )
