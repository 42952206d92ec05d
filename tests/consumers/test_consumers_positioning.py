"""Where partitions are read from: new ones, gaps that retention made, topics that are not the ones that were read."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiokafka
import orjson
import pytest
import structlog

from arc_eval_db.consumers import ConsumerSettings, Worker, WorkerReport
from arc_eval_db.consumers.accepting import accept_topic, look_at_topic
from arc_eval_db.consumers.kafka import GroupSource, LogBounds, LogReader, OffsetOutOfRangeError
from arc_eval_db.consumers.kafka import source as source_module
from arc_eval_db.consumers.metrics import WorkerMetrics
from arc_eval_db.consumers.positioning import HaltReason, PartitionHaltedError, Positioner, anchor_of, halt_reason
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.schemas.topics import COMPLETED, TOOL_USED, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import OffsetStore, StoredPosition, TopicPartition
from support.conditions import eventually
from support.databases import connect
from support.events import event, record
from support.topics import delete_records, grow_topic, produce, recreate_topic

pytestmark = [pytest.mark.database, pytest.mark.kafka]


def consumer_settings(group: str, **values: Any) -> ConsumerSettings:
    return ConsumerSettings.load(
        **{"group": group, "poll_timeout_s": 0.1, "session_timeout_s": 6, "retry_backoff_s_max": 0.5, **values}
    )


def uses(count: int) -> list[dict[str, Any]]:
    return [event(TOOL_USED) for _ in range(count)]


class Place:
    """One group at work on the partition of a topic, and what the database says of it."""

    def __init__(self, kafka: KafkaSettings, database: DatabaseSettings, session: Session, group: str) -> None:
        names = TopicNames(kafka.topic_prefix)
        self.kafka, self.database, self.session = kafka, database, session
        self.settings = consumer_settings(group)
        self.topics = names.all
        self.partition = TopicPartition(names.of_type(TOOL_USED), 0)
        self.elsewhere = TopicPartition(names.of_type(COMPLETED), 0)
        self.offsets = OffsetStore(group)

    async def catch_up(self, metrics: WorkerMetrics | None = None) -> WorkerReport:
        worker = Worker(self.kafka, self.database, self.settings, metrics=metrics, until_caught_up=True)
        return await asyncio.wait_for(worker.run(), 60)

    @contextlib.asynccontextmanager
    async def running(self, **settings: Any) -> AsyncIterator[Worker]:
        """A worker that looks again at what it halted as often as it can."""
        worker = Worker(self.kafka, self.database, self.settings.model_copy(update=settings))
        worker._positioner.recheck_s_max = 0.1
        running = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await asyncio.wait_for(running, 30)

    async def position(self) -> StoredPosition:
        return (await self.offsets.read_positions(self.session, [self.partition]))[self.partition]

    async def read(self) -> set[int]:
        """The offsets of the partition that are rows."""
        rows = await self.session.fetch(
            "SELECT log_offset FROM tool_usage WHERE log_partition = $1", self.partition.partition
        )
        assert len({row["log_offset"] for row in rows}) == len(rows)
        return {row["log_offset"] for row in rows}

    async def count(self, table: str = "tool_usage") -> int:
        return int(await self.session.fetch_value(f"SELECT count(*) FROM {table}"))

    async def gaps(self) -> list[tuple[Any, ...]]:
        rows = await self.session.fetch(
            "SELECT topic, partition, first_offset, end_offset, reason FROM log_gaps ORDER BY first_offset"
        )
        return [tuple(row.values()) for row in rows]

    def gap(self, first: int, end: int) -> tuple[Any, ...]:
        return (*self.partition, first, end, "retention")


@pytest.fixture
def place(kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str) -> Place:
    return Place(kafka_settings, database, session, group)


def named(logs: Sequence[Any], name: str) -> list[Any]:
    return [entry for entry in logs if entry["event"] == name]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"headers": ()}, None),
        ({"timestamp_ms": 1}, HaltReason.TOPIC_RECREATED),
        ({"key": b"other"}, HaltReason.TOPIC_RECREATED),
        ({"value": b"other"}, HaltReason.TOPIC_RECREATED),
        ({"key": b"keyvalue", "value": b""}, HaltReason.TOPIC_RECREATED),
    ],
)
def test_a_record_is_recognised_by_its_time_and_content(change: dict[str, Any], reason: HaltReason | None) -> None:
    read = record(b"value", offset=7, topic="t")
    position, bounds = StoredPosition(8, anchor_of(read)), LogBounds(0, 8)
    assert halt_reason(position, bounds, read._replace(**change)) is reason


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [
        (LogBounds(0, 9), HaltReason.TOPIC_RECREATED),
        (LogBounds(7, 8), HaltReason.TOPIC_RECREATED),
        (LogBounds(8, 8), None),
        (LogBounds(0, 7), HaltReason.OFFSET_BEYOND_LOG_END),
    ],
)
def test_an_anchor_that_is_not_there_speaks_where_the_log_should_hold_it(
    bounds: LogBounds, reason: HaltReason | None
) -> None:
    anchor = anchor_of(record(b"v", offset=7, topic="t"))
    assert halt_reason(StoredPosition(8, anchor), bounds, None) is reason
    assert halt_reason(StoredPosition(8, None), bounds, None) is (reason if bounds.end == 7 else None)


async def test_what_retention_took_is_recorded_exactly(place: Place) -> None:
    await produce(place.kafka, place.partition, uses(20))
    await place.catch_up()
    await produce(place.kafka, place.partition, uses(10))
    await delete_records(place.kafka, place.partition, 25)
    metrics = WorkerMetrics()
    with structlog.testing.capture_logs() as logs:
        report = await place.catch_up(metrics)
    assert (report.inserted, report.caught_up) == (5, True)
    assert await place.gaps() == [place.gap(20, 25)]
    assert await place.read() == {*range(20), *range(25, 30)}
    assert metrics.value("arc_eval_consumer_log_gap_offsets_total", topic=place.partition.topic) == 5
    (entry,) = named(logs, "log_gap_recorded")
    assert (entry["log_level"], entry["topic"], entry["partition"]) == ("error", *place.partition)
    assert (entry["first"], entry["end"]) == (20, 25)
    # Once.
    assert (await place.catch_up()).records == 0
    assert await place.gaps() == [place.gap(20, 25)]


async def test_retention_that_took_everything_leaves_the_anchor_behind(place: Place) -> None:
    """The log holds nothing that was read any more: nothing to compare with, and nothing was lost."""
    await produce(place.kafka, place.partition, uses(5))
    await place.catch_up()
    await delete_records(place.kafka, place.partition, 5)
    await produce(place.kafka, place.partition, uses(2))
    report = await place.catch_up()
    assert (report.inserted, report.caught_up) == (2, True)
    assert await place.gaps() == []


async def test_retention_overtakes_a_worker_at_work(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for a table while the log is deleted under its feet, and fetches what is gone."""
    polled: list[GroupSource] = []
    poll = GroupSource.poll

    async def noted(source: GroupSource, *arguments: Any) -> Any:
        found = await poll(source, *arguments)
        polled.extend([source] * len(found))
        return found

    monkeypatch.setattr(GroupSource, "poll", noted)
    await produce(place.kafka, place.partition, uses(1))
    async with place.running(batch_records_max=1) as worker:
        await eventually(lambda: worker.report.batches == 1, "the first record")
        async with await connect(place.database) as other, other.transaction():
            await other.execute("LOCK TABLE tool_usage IN ACCESS EXCLUSIVE MODE")
            # It holds one batch and has read the next ahead: no more is asked for.
            for batches in (2, 3):
                await produce(place.kafka, place.partition, uses(1))
                await eventually(lambda batches=batches: len(polled) == batches, "it is read")
            await produce(place.kafka, place.partition, uses(7))
            await delete_records(place.kafka, place.partition, 8)

        async def all_accounted_for() -> bool:
            lost = {offset for *_, first, end, _ in await place.gaps() for offset in range(first, end)}
            read = await place.read()
            assert not lost & read
            return lost | read == set(range(10))

        await eventually(all_accounted_for, "each offset is a row or in a gap")
        assert await place.read() == {0, 1, 2, 8, 9}
        assert len(await place.gaps()) == 1
        assert worker.metrics.value("arc_eval_consumer_retries_total", cause="OffsetOutOfRangeError") >= 1


async def test_a_log_that_moves_on_while_it_is_looked_at_is_looked_at_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await produce(place.kafka, place.partition, uses(3))
    await place.catch_up()
    await produce(place.kafka, place.partition, uses(7))
    # Under the anchor's feet, then twice under those of the next fetch.
    moving = [3, 6, 8]
    look = GroupSource.bounds

    async def bounds(source: GroupSource, *arguments: Any) -> dict[TopicPartition, LogBounds]:
        found = await look(source, *arguments)
        if moving and arguments:
            await delete_records(place.kafka, place.partition, moving.pop(0))
        return found

    monkeypatch.setattr(GroupSource, "bounds", bounds)
    async with place.running():
        await eventually(lambda: not moving, "the log has moved on three times")

        async def is_read() -> bool:
            return {8, 9} <= await place.read()

        await eventually(is_read, "the rest is read")
    assert await place.gaps() == [place.gap(3, 6), place.gap(6, 8)]
    assert await place.read() == {0, 1, 2, 8, 9}


async def test_a_gap_waits_for_a_database_that_can_be_written(place: Place) -> None:
    await produce(place.kafka, place.partition, uses(5))
    await place.catch_up()
    await produce(place.kafka, place.partition, uses(5))
    await delete_records(place.kafka, place.partition, 7)
    name = await place.session.fetch_value("SELECT current_database()")
    await place.session.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    topic = place.partition.topic
    with structlog.testing.capture_logs() as logs:
        async with place.running() as worker:
            value = worker.metrics.value
            await eventually(
                lambda: value("arc_eval_consumer_retries_total", cause="DatabaseUnavailableError") >= 2, "two attempts"
            )
            assert await place.gaps() == []
            assert (await place.position()).next_offset == 5
            assert named(logs, "log_gap_recorded") == []
            async with await connect(place.database) as admin:
                await admin.execute("SET default_transaction_read_only = off")
                await admin.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")

            async def is_read() -> bool:
                return {7, 8, 9} <= await place.read()

            await eventually(is_read, "what is left, once the database can be written")
            assert value("arc_eval_consumer_log_gap_offsets_total", topic=topic) == 2
    assert await place.gaps() == [place.gap(5, 7)]


async def test_a_gap_is_recorded_by_one_of_two_that_see_it(place: Place) -> None:
    """Two groups of Kafka that are one in the database, as two operators may start them: both hold the partition."""
    await produce(place.kafka, place.partition, uses(5))
    await delete_records(place.kafka, place.partition, 4)
    await place.offsets.start_at(place.session, {place.partition: 1})
    arrived = asyncio.Barrier(2)

    class Together(OffsetStore):
        async def record_gap(self, *arguments: Any, **options: Any) -> None:
            await arrived.wait()
            await super().record_gap(*arguments, **options)

    async def position(kafka_group: str) -> dict[TopicPartition, int]:
        source = GroupSource(place.kafka, consumer_settings(kafka_group), place.topics)
        await source.start()
        try:
            positioner = Positioner(Together(place.offsets.group), WorkerMetrics())
            positions: dict[TopicPartition, int] = {}
            async with await connect(place.database) as session:

                async def all_positioned() -> bool:
                    positions.update(await positioner.position(source, session))
                    return len(positions) == 6

                await eventually(all_positioned, "all partitions have their positions")
            return positions
        finally:
            await source.close()

    first, second = await asyncio.gather(position("one"), position("other"))
    assert first[place.partition] == second[place.partition] == 4
    assert await place.gaps() == [place.gap(1, 4)]


async def accept(place: Place) -> list[TopicPartition]:
    """What `arc-eval-db topics accept` does."""
    async with LogReader(place.kafka) as reader:
        found = await look_at_topic(reader, place.session, place.offsets, place.partition.topic)
        return await accept_topic(reader, place.session, place.offsets, found)


async def test_one_of_several_partitions_is_accepted_while_the_others_are_read(place: Place) -> None:
    """Under load each look at the others is out of date at once; they stay where the worker has them."""
    topic = place.partition.topic
    await grow_topic(place.kafka, topic, 4)
    others = [TopicPartition(topic, number) for number in (1, 2, 3)]
    for one in (place.partition, *others):
        await produce(place.kafka, one, uses(6))
    await place.catch_up()
    await place.session.execute(
        "UPDATE consumer_offsets SET anchor_hash = '\\x00' WHERE partition = 0 AND next_offset = 6"
    )
    loaded = asyncio.Event()

    async def load() -> None:
        while not loaded.is_set():
            await asyncio.gather(*(produce(place.kafka, one, uses(3)) for one in others))

    async with place.running() as worker, asyncio.TaskGroup() as group:
        await eventually(lambda: place.partition in worker._positioner.halted, "the partition is halted")
        group.create_task(load())
        try:
            await eventually(lambda: worker.report.records >= 18, "the others are read")
            assert await accept(place) == [place.partition]
            records = worker.report.records
            await eventually(lambda: worker.report.records >= records + 18, "all are read")
            await eventually(lambda: not worker._positioner.halted, "the halted one too")
        finally:
            loaded.set()
    assert await place.gaps() == [(topic, 0, 6, None, "recreated")]
    report = await place.catch_up()
    assert worker.report.duplicates + report.duplicates == 6, "those of the accepted one; none of the others' again"
    offsets = await place.offsets.read(place.session, others)
    rows = "SELECT count(*) FROM tool_usage WHERE log_partition = $1"
    for one in others:
        assert await place.session.fetch_value(rows, one.partition) == offsets[one]


@pytest.mark.parametrize("is_cured", [True, False])
async def test_what_moves_between_the_look_and_the_step_is_looked_at_again(place: Place, is_cured: bool) -> None:
    """Of two halted partitions one is moved; the other is begun again too, unless it needs that no more."""
    second = TopicPartition(place.partition.topic, 1)
    for one in (place.partition, second):
        await produce(place.kafka, one, uses(4))
    await place.catch_up()
    true = (await place.offsets.read_positions(place.session, [second]))[second].anchor
    await place.session.execute("UPDATE consumer_offsets SET anchor_hash = '\\x00' WHERE anchor_hash IS NOT NULL")
    async with LogReader(place.kafka) as reader:
        found = await look_at_topic(reader, place.session, place.offsets, second.topic)
        assert [one.changes for one in found] == [True, True]
        if is_cured:
            assert true is not None
            await place.session.execute(
                "UPDATE consumer_offsets SET anchor_hash = $1 WHERE partition = 1 AND next_offset = 4", true.hash
            )
            await produce(place.kafka, second, uses(1))
        await place.session.execute(
            "UPDATE consumer_offsets SET next_offset = 3 WHERE partition = 0 AND next_offset = 4"
        )
        accepted = await accept_topic(reader, place.session, place.offsets, found)
    assert accepted == ([place.partition] if is_cured else [place.partition, second])
    stands = await place.offsets.read(place.session, [place.partition, second])
    assert stands == {place.partition: 0, second: 4 if is_cured else 0}
    assert len(await place.gaps()) == len(accepted)


async def test_a_partition_with_nothing_to_compare_is_doubted_with_its_topic(place: Place) -> None:
    second, third = (TopicPartition(place.partition.topic, number) for number in (1, 2))
    await grow_topic(place.kafka, second.topic, 3)
    for one in (place.partition, second, third):
        await produce(place.kafka, one, uses(4))
    await place.catch_up()
    await place.session.execute(
        "UPDATE consumer_offsets SET anchor_offset = NULL, anchor_timestamp_ms = NULL, anchor_hash = NULL"
        " WHERE partition = 1"
    )
    assert await accept(place) == []
    await place.session.execute(
        "UPDATE consumer_offsets SET anchor_hash = '\\x00' WHERE partition = 2 AND next_offset = 4"
    )
    assert await accept(place) == [second, third]


async def test_a_halted_partition_is_looked_at_less_and_less_often(place: Place) -> None:
    await produce(place.kafka, place.partition, uses(3))
    await place.catch_up()
    await place.session.execute("UPDATE consumer_offsets SET next_offset = 4 WHERE next_offset = 3")
    second = 0
    positioner = Positioner(place.offsets, WorkerMetrics(), clock=lambda: float(second))
    looked_at: list[int] = []

    class Observed(GroupSource):
        async def records_at(self, *arguments: Any) -> dict[TopicPartition, LogRecord]:
            looked_at.append(second)
            return await super().records_at(*arguments)

    source = Observed(place.kafka, place.settings, place.topics)
    await source.start()
    try:

        async def is_halted() -> bool:
            await positioner.position(source, place.session)
            return place.partition in positioner.halted

        await eventually(is_halted, "the partition is halted")
        for second in range(1, 200):  # noqa: B007 - the clock
            await positioner.position(source, place.session)
        assert [at for at in looked_at if at] == [2, 6, 14, 30, 62, 122, 182]
        # A log that only looked shorter.
        await produce(place.kafka, place.partition, uses(1))
        second = 242
        assert place.partition in await positioner.position(source, place.session)
        assert positioner.halted == {}
    finally:
        await source.close()


@pytest.mark.parametrize(("records", "reason"), [(3, "offset_beyond_log_end"), (9, "topic_recreated")])
async def test_a_topic_made_anew_is_halted_until_it_is_accepted(place: Place, records: int, reason: str) -> None:
    """With fewer records than were read of the old one, and with more; the other topics go on meanwhile."""
    await produce(place.kafka, place.partition, uses(6))
    await place.catch_up()
    await recreate_topic(place.kafka, place.partition.topic)
    await produce(place.kafka, place.partition, uses(records))
    with structlog.testing.capture_logs() as logs:
        async with place.running() as worker:

            def halted(partition: int = 0) -> float:
                labels = {"topic": place.partition.topic, "partition": str(partition)}
                return worker.metrics.value("arc_eval_consumer_halted_partitions", **labels)

            await eventually(lambda: halted() == 1, "the partition is halted")
            await produce(place.kafka, place.elsewhere, [event(COMPLETED) for _ in range(4)])

            async def others_go_on() -> bool:
                return await place.count("outcomes") == 4

            await eventually(others_go_on, "another topic's events")
            assert await place.count() == 6, "nothing of the new topic"
            assert (await place.position()).next_offset == 6
            assert await place.gaps() == []
            await accept(place)

            async def is_read() -> bool:
                return await place.count() == 6 + records

            await eventually(is_read, "the new topic's events, without a restart")
            assert halted() == 0
    assert await place.gaps() == [(*place.partition, 6, None, "recreated")]
    (entry,) = named(logs, "partition_halted")
    assert (entry["log_level"], entry["reason"], entry["next_offset"]) == ("error", reason, 6)
    assert entry["next_step"] == f"arc-eval-db topics accept {place.partition.topic} --group {place.offsets.group}"
    assert len(named(logs, "partition_resumed")) == 1
    assert (await place.catch_up()).records == 0


async def test_a_topic_made_anew_under_a_worker_at_work(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "_METADATA_MAX_AGE_MS", 500)
    await produce(place.kafka, place.partition, uses(6))
    async with place.running() as worker:
        await eventually(lambda: worker.report.records == 6, "the old topic's events")
        await recreate_topic(place.kafka, place.partition.topic)
        await eventually(lambda: place.partition in worker._positioner.halted, "the partition is halted")
        await produce(place.kafka, place.partition, uses(2))
        await accept(place)

        async def is_read() -> bool:
            return await place.count() == 8

        await eventually(is_read, "the new topic's events")


async def test_a_run_that_is_to_end_names_the_next_step(place: Place) -> None:
    await produce(place.kafka, place.partition, uses(3))
    await place.catch_up()
    await recreate_topic(place.kafka, place.partition.topic)
    await produce(place.kafka, place.partition, uses(5))
    with pytest.raises(PartitionHaltedError, match=r"\(topic_recreated\).*run: arc-eval-db topics accept") as caught:
        await place.catch_up()
    assert place.partition.topic in str(caught.value)
    assert await place.count() == 3


@pytest.mark.parametrize(
    "change",
    ["anchor_hash = '\\x00'", "anchor_timestamp_ms = anchor_timestamp_ms + 1", "anchor_offset = anchor_offset - 1"],
)
async def test_an_anchor_that_does_not_match_halts(place: Place, change: str) -> None:
    await produce(place.kafka, place.partition, uses(3))
    await place.catch_up()
    await place.session.execute(f"UPDATE consumer_offsets SET {change} WHERE anchor_offset IS NOT NULL")
    await produce(place.kafka, place.partition, uses(1))
    with pytest.raises(PartitionHaltedError):
        await place.catch_up()
    assert await place.count() == 3


async def test_a_position_without_an_anchor_is_believed(place: Place) -> None:
    """As the release before this one stored it."""
    await produce(place.kafka, place.partition, uses(3))
    await place.catch_up()
    await place.session.execute(
        "UPDATE consumer_offsets SET anchor_offset = NULL, anchor_timestamp_ms = NULL, anchor_hash = NULL"
    )
    await produce(place.kafka, place.partition, uses(2))
    assert (await place.catch_up()).inserted == 2
    anchor = (await place.position()).anchor
    assert anchor is not None
    assert anchor.offset == 4


async def test_offsets_without_records_are_no_anchor(place: Place) -> None:
    """The group stands behind a transaction's marker; the record before it is what is compared."""
    producer = aiokafka.AIOKafkaProducer(**place.kafka.client_options(), transactional_id=place.offsets.group)
    await producer.start()
    try:
        for _ in range(2):
            for content in uses(2):
                async with producer.transaction():
                    await producer.send(place.partition.topic, orjson.dumps(content), partition=0)
            report = await place.catch_up()
            assert (report.inserted, report.caught_up) == (2, True)
    finally:
        await producer.stop()
    position = await place.position()
    assert position.anchor is not None
    assert (position.next_offset, position.anchor.offset) == (8, 6)
    # A marker where a record was: this log is another one.
    await place.session.execute("UPDATE consumer_offsets SET anchor_offset = 7 WHERE anchor_offset = 6")
    with pytest.raises(PartitionHaltedError, match="topic_recreated"):
        await place.catch_up()


async def test_the_records_at_some_offsets_are_read_and_no_others(place: Place) -> None:
    other = TopicPartition(place.partition.topic, 1)
    await produce(place.kafka, place.partition, uses(5))
    await produce(place.kafka, other, uses(3))
    async with LogReader(place.kafka) as reader:
        found = await reader.records_at({place.partition: 3, other: 0})
        assert {partition: one.offset for partition, one in found.items()} == {place.partition: 3, other: 0}
        assert {partition: one.topic_partition for partition, one in found.items()} == {p: p for p in found}
    async with LogReader(place.kafka) as reader:
        assert await reader.records_at({}) == {}
    await delete_records(place.kafka, place.partition, 4)
    async with LogReader(place.kafka) as reader:
        with pytest.raises(OffsetOutOfRangeError, match=f"{place.partition} at 3"):
            await reader.records_at({place.partition: 3})


async def test_new_partitions_are_read_from_their_beginning(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic grows while it is written to: also what was sent before a worker noticed is read."""
    monkeypatch.setattr(source_module, "_METADATA_MAX_AGE_MS", 500)
    topic = place.partition.topic
    await produce(place.kafka, place.partition, uses(5))
    async with place.running() as worker:
        await eventually(lambda: worker.report.records == 5, "the events of the old partition")
        await grow_topic(place.kafka, topic, 4)
        for number in range(4):
            await produce(place.kafka, TopicPartition(topic, number), uses(3))
        new = [TopicPartition(topic, 2), TopicPartition(topic, 3)]

        async def is_read() -> bool:
            return await place.count() == 5 + 12

        await eventually(is_read, "the events of all partitions", timeout_s=60)
    assert await place.offsets.read(place.session, new) == dict.fromkeys(new, 3)
    assert await place.gaps() == []


async def test_a_halted_partition_is_taken_over_halted(place: Place) -> None:
    await produce(place.kafka, place.partition, uses(3))
    await place.catch_up()
    await recreate_topic(place.kafka, place.partition.topic)
    async with place.running() as first:
        await eventually(lambda: place.partition in first._positioner.halted, "the first halts it")
    async with place.running() as second:
        await eventually(lambda: place.partition in second._positioner.halted, "the second halts it too")
        await accept(place)
        await eventually(lambda: not second._positioner.halted, "and resumes")


async def test_a_partition_on_hold_does_not_slow_its_neighbours(place: Place) -> None:
    """Kafka has no offset for it: aiokafka would ask again and again, and read nothing else in between."""
    source = GroupSource(place.kafka, place.settings, place.topics)
    await source.start()
    try:
        await eventually(lambda: len(source.unpositioned()) == 6, "all partitions assigned")
        source.hold({place.partition: 0})
        assert source.held() == [place.partition]
        source.seek(dict.fromkeys(source.unpositioned(), 0))
        await produce(place.kafka, place.partition, uses(1))
        for _ in range(20):
            await produce(place.kafka, place.elsewhere, [event(COMPLETED)])
            polled = await source.poll(10, 5)
            assert {partition: len(records) for partition, records in polled.items()} == {place.elsewhere: 1}
        source.seek({place.partition: 0})
        assert [len(records) for records in (await source.poll(10, 5)).values()] == [1]
        assert source.held() == []
    finally:
        await source.close()
