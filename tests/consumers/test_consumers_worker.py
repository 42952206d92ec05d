"""The worker: outlives outages, gives way to others, and ends when it is told to."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Any

import aiokafka
import orjson
import pytest
import structlog

from arc_eval_db.consumers import (
    CommitReport,
    ConsumerSettings,
    ExactlyOnceSink,
    HandledBatch,
    Worker,
    measure_lag,
)
from arc_eval_db.consumers.kafka import GroupSource, LogReader
from arc_eval_db.consumers.kafka.errors import (
    KafkaUnavailableError,
    MissingTopicsError,
    UnreadableRecordError,
)
from arc_eval_db.database import BatchTooLargeError, DatabaseSettings, DatabaseUnavailableError, Session
from arc_eval_db.migrations.runner import SchemaOutdatedError
from arc_eval_db.retries import Backoff
from arc_eval_db.schemas.topics import TOOL_USED, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import OffsetStore, TopicPartition
from support.conditions import eventually
from support.databases import connect
from support.events import event, lifecycle
from support.log import send_events
from support.proxy import TcpProxy

pytestmark = [pytest.mark.database, pytest.mark.kafka]


PRODUCE_A_NAME_THAT_IS_NOT_TEXT = """
import asyncio, json, sys
import aiokafka

class NotText(str):
    def encode(self, *_):
        return b"\\xff\\xfe"

async def main(servers, topic, values):
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    for number, value in enumerate(values):
        headers = [(NotText("xx"), b"1")] if number == 17 else []
        await producer.send_and_wait(topic, value.encode(), partition=number % 2, headers=headers)
    await producer.stop()

asyncio.run(main(*sys.argv[1:], json.load(sys.stdin)))
"""


def consumer_settings(group: str, **values: Any) -> ConsumerSettings:
    return ConsumerSettings.load(
        **{"group": group, "poll_timeout_s": 0.1, "session_timeout_s": 6, "retry_backoff_s_max": 0.5, **values}
    )


async def count(session: Session, table: str = "tool_usage") -> int:
    return int(await session.fetch_value(f"SELECT count(*) FROM {table}"))


class Running:
    """A worker at work in this process."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.task = asyncio.create_task(worker.run())

    async def __aenter__(self) -> Worker:
        return self.worker

    async def __aexit__(self, *_: object) -> None:
        self.worker.stop()
        await asyncio.wait_for(self.task, 30)


async def test_caught_up_ends_with_everything(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    await send_events(kafka_settings, [content for _ in range(20) for content in lifecycle()])
    with structlog.testing.capture_logs() as logs:
        report = await Worker(kafka_settings, database, consumer_settings(group), until_caught_up=True).run()
    assert (report.records, report.inserted, report.dead_letters, report.caught_up) == (100, 100, 0, True)
    assert await count(session, "executions") == 20
    names = [entry["event"] for entry in logs]
    assert names[0] == "worker_started"
    assert names[-2:] == ["caught_up", "worker_stopped"]
    assert "partitions_positioned" in names
    assert logs[-1]["inserted"] == 100


async def test_caught_up_with_an_empty_log_ends_at_once(
    kafka_settings: KafkaSettings, database: DatabaseSettings, group: str
) -> None:
    report = await Worker(kafka_settings, database, consumer_settings(group), until_caught_up=True).run()
    assert (report.records, report.caught_up) == (0, True)


async def test_offsets_without_records_do_not_keep_it_from_catching_up(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    """A transaction ends in a marker, which takes an offset and is no record."""
    topic = TopicNames(kafka_settings.topic_prefix).of_type(TOOL_USED)
    producer = aiokafka.AIOKafkaProducer(**kafka_settings.client_options(), transactional_id=group)
    await producer.start()
    try:
        for _ in range(3):
            async with producer.transaction():
                await producer.send(topic, orjson.dumps(event(TOOL_USED)), partition=0)
    finally:
        await producer.stop()
    worker = Worker(kafka_settings, database, consumer_settings(group), until_caught_up=True)
    report = await asyncio.wait_for(worker.run(), 30)
    assert (report.inserted, report.caught_up) == (3, True)
    partition = TopicPartition(topic, 0)
    assert await OffsetStore(group).read(session, [partition]) == {partition: 6}


async def test_a_second_run_goes_on_where_the_first_ended(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    for round_number in (1, 2):
        await send_events(kafka_settings, [event(TOOL_USED) for _ in range(10)])
        report = await Worker(kafka_settings, database, consumer_settings(group), until_caught_up=True).run()
        assert (report.records, report.duplicates) == (10, 0)
        assert await count(session) == 10 * round_number


async def test_the_database_says_where_to_start_and_not_kafka(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    """Kafka's own record of the group is at the end; the database, restored from a backup say, knows of nothing."""
    await send_events(kafka_settings, [event(TOOL_USED) for _ in range(10)])
    await Worker(kafka_settings, database, consumer_settings(group), until_caught_up=True).run()
    await session.execute("TRUNCATE tool_usage, consumer_offsets")
    report = await Worker(kafka_settings, database, consumer_settings(group), until_caught_up=True).run()
    assert (report.records, await count(session)) == (10, 10)


async def test_kafka_is_told_how_far_the_group_is(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    await send_events(kafka_settings, [event(TOOL_USED) for _ in range(10)])
    await Worker(kafka_settings, database, consumer_settings(group), until_caught_up=True).run()
    stored = {
        TopicPartition(row["topic"], row["partition"]): row["next_offset"]
        for row in await session.fetch("SELECT * FROM consumer_offsets WHERE next_offset > 0")
    }
    consumer = aiokafka.AIOKafkaConsumer(**kafka_settings.client_options(), group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        for partition, offset in stored.items():
            committed = await consumer.committed(aiokafka.TopicPartition(partition.topic, partition.partition))
            assert committed == offset
        assert stored
    finally:
        await consumer.stop()


async def _has(session: Session, rows: int, table: str = "tool_usage") -> bool:
    return await count(session, table) >= rows


async def test_the_answer_to_a_commit_is_lost(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    """The batch is in the database, and the worker does not know: the stored offsets tell it."""

    class Forgetful(ExactlyOnceSink):
        lost = 0

        async def write(self, *arguments: Any) -> CommitReport:
            report = await super().write(*arguments)
            if self.lost < 3:
                self.lost += 1
                raise DatabaseUnavailableError("the connection was lost during the commit")
            return report

    await send_events(kafka_settings, [event(TOOL_USED) for _ in range(50)])
    worker = Worker(kafka_settings, database, consumer_settings(group, batch_records_max=10), until_caught_up=True)
    worker._sink = sink = Forgetful(worker._offsets)
    report = await worker.run()
    assert sink.lost == 3
    assert report.duplicates == 0, "nothing was written a second time"
    assert (await count(session), report.caught_up) == (50, True)


async def test_a_batch_that_is_too_much_for_the_server_is_made_smaller(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    class Weak(ExactlyOnceSink):
        async def write(self, session: Session, batch: HandledBatch, *moves: Any) -> CommitReport:
            if len(batch.rows) > 3:
                raise BatchTooLargeError
            return await super().write(session, batch, *moves)

    await send_events(kafka_settings, [event(TOOL_USED) for _ in range(20)])
    worker = Worker(kafka_settings, database, consumer_settings(group, batch_records_max=16), until_caught_up=True)
    worker._sink = Weak(worker._offsets)
    report = await asyncio.wait_for(worker.run(), 60)
    assert (report.inserted, await count(session)) == (20, 20)


async def test_a_stop_keeps_its_deadline_with_a_silent_database(
    kafka_settings: KafkaSettings, database: DatabaseSettings, group: str
) -> None:
    await send_events(kafka_settings, [event(TOOL_USED)])
    async with TcpProxy.to_url(database.database_url.get_secret_value()) as proxy:
        through = database.model_copy(update={"database_url": type(database.database_url)(proxy.url)})
        worker = Worker(kafka_settings, through, consumer_settings(group, drain_timeout_s=2))
        running = asyncio.create_task(worker.run())
        await eventually(lambda: worker.report.batches > 0, "a first batch")
        proxy.stall()
        await send_events(kafka_settings, [event(TOOL_USED)])
        await proxy.stalled_bytes.wait()
        worker.stop()
        # The two seconds of the setting, and some for a busy machine; without it, a minute.
        await asyncio.wait_for(running, 2 + 4)


async def test_a_dead_broker_is_no_progress(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    """aiokafka then hands out nothing and raises nothing. The worker says so, and builds a new client."""
    worker = Worker(kafka_settings, database, consumer_settings(group))

    def progress() -> float:
        return worker.metrics.value("arc_eval_consumer_progress_timestamp_seconds")

    async with Running(worker):
        await eventually(lambda: progress() > 0, "a first sign of progress")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(GroupSource, "silent_s", lambda _: 100.0)
            await eventually(
                lambda: worker.metrics.value("arc_eval_consumer_retries_total", cause="KafkaUnavailableError") >= 2,
                "attempts that failed",
            )
            standstill = progress()
            await eventually(
                lambda: worker.metrics.value("arc_eval_consumer_retries_total", cause="KafkaUnavailableError") >= 3,
                "another one",
            )
            assert progress() == standstill
        await eventually(lambda: progress() > standstill, "progress, once the broker answers again")
        await send_events(kafka_settings, [event(TOOL_USED)])
        await eventually(lambda: _has(session, 1), "and the row")


async def test_a_source_knows_how_long_the_broker_has_been_silent(kafka_settings: KafkaSettings, group: str) -> None:
    source = GroupSource(kafka_settings, consumer_settings(group), TopicNames(kafka_settings.topic_prefix).all)
    await source.start()
    try:
        await eventually(lambda: len(source.unpositioned()) == 6, "all partitions assigned")
        assert source.silent_s() == 0, "nothing was asked for yet"
        source.seek(dict.fromkeys(source.unpositioned(), 0))

        async def answered_for_a_second() -> bool:
            await source.poll(10, 0.1)
            return min(source._positioned.values()) < (time.time() - 1) * 1000

        await eventually(answered_for_a_second, "a second of fetching")
        assert source.silent_s() < 0.9, "an empty topic is answered for too"
        # Nobody answers any more.
        source._consumer.pause(*source._consumer.assignment())
        await eventually(lambda: source.silent_s() > 1, "the silence to be noticed")
    finally:
        await source.close()


async def test_stop_ends_after_the_batch_in_hand(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    await send_events(kafka_settings, [event(TOOL_USED) for _ in range(50)])
    worker = Worker(kafka_settings, database, consumer_settings(group, batch_records_max=10))
    running = asyncio.create_task(worker.run())
    await eventually(lambda: worker.report.batches > 0, "a first batch")
    worker.stop()
    report = await asyncio.wait_for(running, 10)
    assert not report.caught_up
    assert await count(session) == report.inserted


async def test_a_batch_that_outlasts_the_drain_is_given_up_whole(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    await send_events(kafka_settings, [event(TOOL_USED)])
    worker = Worker(kafka_settings, database, consumer_settings(group, drain_timeout_s=0.3))
    async with await connect(database) as other, other.transaction():
        await other.execute("LOCK TABLE tool_usage IN ACCESS EXCLUSIVE MODE")
        with structlog.testing.capture_logs() as logs:
            running = asyncio.create_task(worker.run())

            async def is_waiting() -> bool:
                return bool(
                    await session.fetch_value(
                        "SELECT count(*) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                    )
                )

            await eventually(is_waiting, "the worker waits for the table")
            worker.stop()
            await asyncio.wait_for(running, 15)
    assert "drain_timed_out" in [entry["event"] for entry in logs]
    assert await count(session) == 0
    report = await Worker(kafka_settings, database, consumer_settings(group), until_caught_up=True).run()
    assert report.inserted == 1


async def test_a_database_that_comes_and_goes_costs_nothing(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    async with TcpProxy.to_url(database.database_url.get_secret_value()) as proxy:
        through = database.model_copy(update={"database_url": type(database.database_url)(proxy.url)})
        worker = Worker(kafka_settings, through, consumer_settings(group))
        async with Running(worker):
            for round_number in range(1, 4):
                await send_events(kafka_settings, [event(TOOL_USED) for _ in range(10)])
                await eventually(lambda: _has(session, 10 * round_number), f"{round_number} times ten rows")  # noqa: B023 - awaited in the same round
                proxy.cut()
        assert worker.report.inserted == 30
        assert worker.report.duplicates == 0
    assert await count(session) == 30
    assert await count(session, "dead_letters") == 0


async def test_an_unreachable_database_is_waited_for(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    await send_events(kafka_settings, [event(TOOL_USED)])
    nowhere = DatabaseSettings.load(database_url="postgresql://nobody@127.0.0.1:1/none")
    worker = Worker(kafka_settings, nowhere, consumer_settings(group))
    async with Running(worker):
        await eventually(
            lambda: worker.metrics.value("arc_eval_consumer_retries_total", cause="DatabaseUnavailableError") >= 3,
            "three attempts",
        )
        worker._database = database
        await eventually(lambda: _has(session, 1), "the row, once the database is there")


async def test_an_unreachable_broker_is_waited_for(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    await send_events(kafka_settings, [event(TOOL_USED)])
    worker = Worker(KafkaSettings(bootstrap_servers="127.0.0.1:1"), database, consumer_settings(group))
    worker._topics = TopicNames(kafka_settings.topic_prefix)
    worker._handler._topics = worker._topics
    async with Running(worker):
        await eventually(
            lambda: worker.metrics.value("arc_eval_consumer_retries_total", cause="KafkaUnavailableError") >= 2,
            "two attempts",
        )
        worker._kafka = kafka_settings
        await eventually(lambda: _has(session, 1), "the row, once the broker is there")


async def test_a_read_only_database_dead_letters_nothing(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    name = await session.fetch_value("SELECT current_database()")
    await session.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await send_events(kafka_settings, [event(TOOL_USED) for _ in range(5)])
    worker = Worker(kafka_settings, database, consumer_settings(group))
    async with Running(worker):
        await eventually(
            lambda: worker.metrics.value("arc_eval_consumer_retries_total", cause="DatabaseUnavailableError") >= 2,
            "two attempts",
        )
        async with await connect(database) as admin:
            await admin.execute("SET default_transaction_read_only = off")
            await admin.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await eventually(lambda: _has(session, 5), "the rows, once it can be written")
    assert await count(session, "dead_letters") == 0


async def test_a_missing_schema_stops_loudly(
    kafka_settings: KafkaSettings, empty_database: DatabaseSettings, group: str
) -> None:
    with pytest.raises(SchemaOutdatedError, match="arc-eval-db migrate up"):
        await Worker(kafka_settings, empty_database, consumer_settings(group)).run()


async def test_missing_topics_stop_loudly(
    kafka_settings: KafkaSettings, database: DatabaseSettings, group: str
) -> None:
    elsewhere = KafkaSettings(bootstrap_servers=kafka_settings.bootstrap_servers, topic_prefix="no-such-prefix")
    with pytest.raises(MissingTopicsError, match="arc-eval-db topics create"):
        await Worker(elsewhere, database, consumer_settings(group)).run()


async def test_a_record_that_the_client_cannot_read_stops_loudly(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    """aiokafka raises in the middle of handing records out, and loses what it had drained from other partitions."""
    topic = TopicNames(kafka_settings.topic_prefix).of_type(TOOL_USED)
    values = [orjson.dumps(event(TOOL_USED)).decode() for _ in range(20)]
    producing = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PRODUCE_A_NAME_THAT_IS_NOT_TEXT, kafka_settings.bootstrap_servers or "", topic),
        # The extension refuses to write such names; others' clients do not.
        env={**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"},
        stdin=asyncio.subprocess.PIPE,
    )
    await producing.communicate(orjson.dumps(values))
    assert producing.returncode == 0
    worker = Worker(kafka_settings, database, consumer_settings(group), until_caught_up=True)
    with pytest.raises(UnreadableRecordError, match=rf"{topic}/1 cannot be read from offset 8 on"):
        await asyncio.wait_for(worker.run(), 60)
    stored = await OffsetStore(group).read(session, [TopicPartition(topic, 0), TopicPartition(topic, 1)])
    assert await count(session) == sum(stored.values()), "what was committed is what the offsets say"


async def test_two_workers_share_the_partitions(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    workers = [Worker(kafka_settings, database, consumer_settings(group)) for _ in range(2)]

    def assigned(worker: Worker) -> float:
        return worker.metrics.value("arc_eval_consumer_assigned_partitions")

    async with Running(workers[0]):
        await eventually(lambda: assigned(workers[0]) == 6, "the first has all")
        async with Running(workers[1]):
            await eventually(lambda: [assigned(worker) for worker in workers] == [3, 3], "half each", timeout_s=60)
            await send_events(kafka_settings, [content for _ in range(30) for content in lifecycle()])
            await eventually(lambda: _has(session, 30), "all tool uses")
            await eventually(lambda: _has(session, 30, "outcomes"), "all outcomes")
        await eventually(lambda: assigned(workers[0]) == 6, "the first has all again", timeout_s=60)
        await send_events(kafka_settings, [event(TOOL_USED) for _ in range(10)])
        await eventually(lambda: _has(session, 40), "the later ones too")
    assert sum(worker.report.inserted for worker in workers) == 160
    assert all(worker.report.inserted > 0 for worker in workers)


async def test_a_position_that_cannot_be_read_lets_no_record_through(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    """Where the database does not say where to start, nothing is read: not from Kafka's own record either."""
    await Worker(kafka_settings, database, consumer_settings(group), until_caught_up=True).run()
    await send_events(kafka_settings, [event(TOOL_USED) for _ in range(5)])
    # Kafka has a record of the group now, and would let it go on from there.
    source = GroupSource(kafka_settings, consumer_settings(group), TopicNames(kafka_settings.topic_prefix).all)
    await source.start()
    try:
        await eventually(lambda: len(source.unpositioned()) == 6, "all partitions assigned")
        assert source._consumer.paused() == source._consumer.assignment(), "paused before anything can be fetched"
        for _ in range(5):
            assert await source.poll(100, 0.1) == {}
        source.seek(dict.fromkeys(source.unpositioned(), 0))
        records: list[object] = []

        async def all_read() -> bool:
            records.extend(offset for batch in (await source.poll(100, 0.1)).values() for offset in batch.offsets)
            return len(records) == 5

        await eventually(all_read, "the records, from the given position")
        assert source.unpositioned() == []
    finally:
        await source.close()


async def test_metrics_say_what_happened(kafka_settings: KafkaSettings, database: DatabaseSettings, group: str) -> None:
    bad = event(TOOL_USED, {"tool": ""})
    nul = event(TOOL_USED, {"error": "\x00", "success": False})
    twice = event(TOOL_USED)
    await send_events(kafka_settings, [event(TOOL_USED), bad, nul, twice, twice])
    worker = Worker(kafka_settings, database, consumer_settings(group), until_caught_up=True)
    await worker.run()
    value = worker.metrics.value
    topic = TopicNames(kafka_settings.topic_prefix).of_type(TOOL_USED)
    assert value("arc_eval_consumer_records_total", topic=topic) == 5
    assert value("arc_eval_consumer_events_inserted_total") == 3
    assert value("arc_eval_consumer_events_duplicate_total") == 1
    assert value("arc_eval_consumer_dead_letters_total", reason="invalid_data") == 1
    assert value("arc_eval_consumer_nul_replaced_total") == 1
    assert value("arc_eval_consumer_batches_total") == value("arc_eval_consumer_batch_seconds_count") >= 1
    assert sum(value("arc_eval_consumer_next_offset", topic=topic, partition=str(number)) for number in (0, 1)) == 5
    assert value("arc_eval_consumer_progress_timestamp_seconds") > 1_700_000_000


async def test_lag_counts_down_to_zero(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    topics = TopicNames(kafka_settings.topic_prefix).all
    await send_events(kafka_settings, [event(TOOL_USED) for _ in range(10)])
    async with LogReader(kafka_settings) as reader:
        before = await measure_lag(reader, session, group, topics)
        assert sum(item.lag_messages for item in before) == 10
        assert {item.next_offset for item in before} == {None}
        await Worker(kafka_settings, database, consumer_settings(group), until_caught_up=True).run()
        after = await measure_lag(reader, session, group, topics)
    assert sum(item.lag_messages for item in after) == 0
    assert [item.partition for item in after] == sorted(TopicPartition(topic, n) for topic in topics for n in range(2))
    assert all(item.next_offset == item.log_end and item.lost_messages == 0 for item in after)


def test_pauses_grow_to_a_limit_and_start_over() -> None:
    backoff = Backoff(0.25, 4, share_min=0.5)
    pauses = [backoff.next() for _ in range(40)]
    for pause, longest in zip(pauses, [0.25, 0.5, 1, 2, *([4] * 36)], strict=True):
        assert longest / 2 <= pause <= longest
    backoff.reset()
    assert backoff.next() <= 0.25


async def test_a_source_without_a_broker_says_so(group: str) -> None:
    source = GroupSource(KafkaSettings(bootstrap_servers="127.0.0.1:1"), consumer_settings(group), ["t"])
    with pytest.raises(KafkaUnavailableError, match="joining the group"):
        await source.start()
    await source.close()
