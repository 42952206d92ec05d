"""448 recorded runs through SDK, Kafka and consumers: exactly what went in comes out, also after a SIGKILL."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator

import pytest

from arc_eval_db.consumers.kafka import TopicsAdmin
from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.consumers.worker import Worker
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import Edition
from arc_eval_db.producers import EmitterSettings, EventEmitter, ProducerSettings
from arc_eval_db.replay import read_all
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.settings import KafkaSettings
from support.conditions import eventually
from support.databases import connect, temporary_database
from support.recorded_runs import (
    EVENTS,
    EXECUTIONS,
    SUCCESSES,
    TOOL_ERRORS,
    TOOL_USES,
    MadeUpClock,
    facts,
    recorded_runs,
    replay_through_sdk,
)
from support.servers import Servers

pytestmark = [pytest.mark.database, pytest.mark.kafka]

SIMULATION = "multi-swe-bench-java"


@pytest.fixture(scope="module")
async def recorded_log(servers: Servers) -> KafkaSettings:
    """Topics that hold the recorded runs, sent through the SDK."""
    runs = recorded_runs()
    settings = KafkaSettings(
        bootstrap_servers=servers.kafka_bootstrap_servers, topic_prefix=f"recorded-{secrets.token_hex(4)}"
    )
    async with TopicsAdmin(settings) as admin:
        await admin.create(partitions=3)
    clock = MadeUpClock()
    producer = ProducerSettings(
        EmitterSettings(transport="kafka", queue_records_max=EVENTS), settings, "/sandboxes/recorded", None
    )
    emitter = EventEmitter(settings=producer, clock=clock.clock())
    await asyncio.to_thread(replay_through_sdk, runs, emitter, clock, SIMULATION)
    delivery = await emitter.close_async(timeout=60)
    assert (delivery.sent, delivery.dropped) == (EVENTS, {})
    return settings


async def assert_everything_is_there_once(session: Session) -> None:
    expected = {
        "SELECT count(*) FROM executions": EXECUTIONS,
        "SELECT count(*) FROM executions WHERE started_at IS NOT NULL AND ended_at > started_at": EXECUTIONS,
        "SELECT count(*) FROM outcomes": EXECUTIONS,
        "SELECT count(*) FROM outcomes WHERE success": SUCCESSES,
        "SELECT count(*) FROM tool_usage": TOOL_USES,
        "SELECT count(*) FROM tool_usage WHERE NOT success": TOOL_ERRORS,
        "SELECT count(*) FROM execution_events": EXECUTIONS,
        "SELECT count(*) FROM dead_letters": 0,
        "SELECT count(*) FROM configurations": 5,
        "SELECT count(*) FROM scenarios WHERE name IS NOT NULL": 91,
        "SELECT count(*) FROM simulations WHERE name = 'multi-swe-bench-java'": 1,
    }
    assert {query: await session.fetch_value(query) for query in expected} == expected


async def assert_each_run_is_what_was_recorded(session: Session) -> None:
    rows = await session.fetch(
        """
        SELECT scenario.name AS task, configuration.name AS model, count(*) AS actions,
            count(*) FILTER (WHERE NOT usage.success) AS errors, bool_or(outcome.success) AS success
        FROM executions AS execution
        JOIN tool_usage AS usage ON usage.execution_id = execution.id
        JOIN outcomes AS outcome ON outcome.execution_id = execution.id
        JOIN scenarios AS scenario ON scenario.id = execution.scenario_id
        JOIN configuration_versions AS version ON version.id = execution.configuration_version_id
        JOIN configurations AS configuration ON configuration.id = version.configuration_id
        GROUP BY execution.id, scenario.name, configuration.name
        """
    )
    actual = sorted((row["task"], row["model"], row["actions"], row["errors"], row["success"]) for row in rows)
    assert actual == sorted(fact for fact in facts(recorded_runs()) if fact[2] > 0)


async def assert_rows_are_the_log(session: Session, settings: KafkaSettings) -> None:
    """Every offset of the log has exactly one row, and no row has another offset."""
    topics = TopicNames(settings.topic_prefix)
    in_log: set[tuple[str, int, int]] = set()
    async for records in read_all(settings, topics.all):
        in_log.update((record.topic.rpartition(".")[2], record.partition, record.offset) for record in records)
    rows = await session.fetch(
        """
        SELECT 'tool-usage' AS topic, log_partition, log_offset FROM tool_usage
        UNION ALL SELECT 'executions', log_partition, log_offset FROM outcomes
        UNION ALL SELECT 'executions', log_partition, log_offset FROM execution_events
        """
    )
    in_rows = [(row["topic"], row["log_partition"], row["log_offset"]) for row in rows]
    assert len(in_rows) == len(set(in_rows)) == EVENTS
    assert set(in_rows) == in_log


async def test_everything_arrives_exactly_once(
    recorded_log: KafkaSettings, database: DatabaseSettings, group: str
) -> None:
    report = await Worker(recorded_log, database, ConsumerSettings.load(group=group), until_caught_up=True).run()
    assert (report.inserted, report.duplicates, report.dead_letters, report.caught_up) == (EVENTS, 0, 0, True)
    async with await connect(database) as session:
        await assert_everything_is_there_once(session)
        await assert_each_run_is_what_was_recorded(session)
        await assert_rows_are_the_log(session, recorded_log)


async def test_another_group_reading_all_again_changes_nothing(
    recorded_log: KafkaSettings, database: DatabaseSettings, group: str
) -> None:
    for name in (group, f"{group}-again"):
        report = await Worker(recorded_log, database, ConsumerSettings.load(group=name), until_caught_up=True).run()
    assert (report.inserted, report.duplicates) == (0, EVENTS)
    async with await connect(database) as session:
        await assert_everything_is_there_once(session)


@contextlib.asynccontextmanager
async def consumer_process(
    settings: KafkaSettings, database: DatabaseSettings, group: str, *options: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`arc-eval-db consume` as one runs it; ended by force if it is still there at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "arc_eval_db.cli", "consume", "--group", group, *options),
        env={
            **os.environ,
            "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers or "",
            "ARC_EVAL_TOPIC_PREFIX": settings.topic_prefix,
            "ARC_EVAL_DATABASE_URL": database.database_url.get_secret_value(),
            "ARC_EVAL_CONSUMER_SESSION_TIMEOUT_S": "6",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_consumer_killed_half_way_costs_nothing(
    recorded_log: KafkaSettings, database: DatabaseSettings, group: str
) -> None:
    async with await connect(database) as session:

        async def half_way() -> bool:
            return bool(await session.fetch_value("SELECT count(*) > 3000 FROM tool_usage"))

        async with consumer_process(recorded_log, database, group, "--batch-records-max", "100") as first:
            await eventually(half_way, "the first consumer is half-way", timeout_s=60)
            first.send_signal(signal.SIGKILL)
            assert await first.wait() == -signal.SIGKILL
        assert await session.fetch_value("SELECT count(*) FROM tool_usage") < TOOL_USES

        async with consumer_process(recorded_log, database, group, "--until-caught-up") as second:
            assert await asyncio.wait_for(second.wait(), 90) == 0
        await assert_everything_is_there_once(session)
        await assert_each_run_is_what_was_recorded(session)
        await assert_rows_are_the_log(session, recorded_log)


async def test_two_consumers_that_hold_the_same_partitions(
    recorded_log: KafkaSettings, database: DatabaseSettings, group: str
) -> None:
    """As after a pause that Kafka noticed and the consumer did not: each believes that every partition is its own."""
    first, second = (
        Worker(
            recorded_log,
            database,
            ConsumerSettings.load(group=f"{group}-{number}", batch_records_max=200),
            until_caught_up=True,
        )
        for number in (1, 2)
    )
    # Two Kafka groups, so that both get all partitions; one group in the database, as that of a zombie is.
    for worker in (first, second):
        worker._offsets.group = group
    reports = await asyncio.gather(first.run(), second.run())
    assert sum(report.inserted for report in reports) == EVENTS
    assert sum(report.duplicates for report in reports) == 0, "a fenced batch is not written at all"
    assert sum(report.fenced for report in reports) > 0, "the two never met, so this proves nothing"
    async with await connect(database) as session:
        await assert_everything_is_there_once(session)
        await assert_rows_are_the_log(session, recorded_log)


async def test_both_editions_take_the_same_rows(
    recorded_log: KafkaSettings, database_server: DatabaseSettings, timescaledb: None, group: str
) -> None:
    from arc_eval_db.migrations import Migrator

    totals = []
    for edition in Edition:
        async with temporary_database(database_server) as settings:
            async with await connect(settings) as session:
                await Migrator(session, edition=edition).up()
            await Worker(
                recorded_log, settings, ConsumerSettings.load(group=f"{group}-{edition}"), until_caught_up=True
            ).run()
            async with await connect(settings) as session:
                totals.append(
                    await session.fetch_value(
                        "SELECT md5(string_agg(t::text, '' ORDER BY event_id)) FROM tool_usage AS t"
                    )
                )
    assert totals[0] == totals[1]
