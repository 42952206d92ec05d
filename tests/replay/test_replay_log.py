"""What is planned, and that reading ends there, on a real broker."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import aiokafka
import pytest

from arc_eval_db.consumers.kafka import KafkaUnavailableError, OffsetOutOfRangeError
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.replay import (
    EventFilter,
    PlanError,
    ReplayPlan,
    batches_of_log,
    make_plan,
    open_log,
    parse_range,
    parse_source,
    read_events,
)
from arc_eval_db.schemas.topics import COMPLETED, PROGRESSED, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import OffsetRange, TopicPartition
from support.events import event
from support.topics import delete_records, produce

pytestmark = pytest.mark.kafka


@pytest.fixture
def partition(kafka_settings: KafkaSettings) -> TopicPartition:
    return TopicPartition(TopicNames(kafka_settings.topic_prefix).all[0], 0)


def progress(count: int) -> list[dict[str, Any]]:
    return [event(PROGRESSED, {"step": number}) for number in range(count)]


async def plan_of(settings: KafkaSettings, *sources: str, default: str = "start") -> ReplayPlan:
    now = datetime.now(UTC)
    async with open_log(settings) as reader:
        return await make_plan(reader, [parse_source(text, parse_range(default, now), now) for text in sources])


async def read(settings: KafkaSettings, plan: ReplayPlan, chosen: EventFilter | None = None) -> list[LogRecord]:
    async with open_log(settings) as reader:
        batches = batches_of_log(reader, plan.ranges(), chosen or EventFilter())
        return [record async for batch in batches for record in batch.records]


@pytest.fixture(scope="module")
async def ten_records(file_kafka_settings: KafkaSettings) -> TopicPartition:
    """A partition that holds them, and stays as it is."""
    partition = TopicPartition(TopicNames(file_kafka_settings.topic_prefix).all[0], 0)
    await produce(file_kafka_settings, partition, progress(10))
    return partition


@pytest.mark.parametrize(
    ("text", "first", "end"),
    [
        ("start", 0, 10),
        ("end", 10, 10),
        (":end", 0, 10),
        ("+3", 3, 10),
        ("-3", 7, 10),
        ("-30", 0, 10),
        ("+30", 10, 10),
        ("4", 4, 10),
        ("4:6", 4, 6),
        ("4:60", 4, 10),
        (":6", 0, 6),
        ("60", 10, 10),
        ("-6:-2", 4, 8),
        ("@-1h", 0, 10),
        ("@:-1h", 0, 0),
        ("@2020-01-01:1h", 0, 0),
    ],
)
async def test_ranges_are_resolved(
    file_kafka_settings: KafkaSettings, ten_records: TopicPartition, text: str, first: int, end: int
) -> None:
    partition = ten_records
    plan = await plan_of(file_kafka_settings, f"{partition}={text}")
    assert plan.ranges() == {partition: OffsetRange(first, end)}
    assert (plan.records_max, plan.truncated) == (end - first, 0)
    plan.require_whole()
    (planned,) = plan.partitions
    assert (planned.log.start, planned.log.end) == (0, 10)
    assert (planned.first_time is None) == (planned.last_time is None) == (first == end)
    assert [record.offset for record in await read(file_kafka_settings, plan)] == list(range(first, end))
    assert ReplayPlan.from_json(plan.to_json()) == plan


async def test_moments_are_kafkas(kafka_settings: KafkaSettings, partition: TopicPartition) -> None:
    """The topic stamps at the broker: what the events say of their time is for filters."""
    await produce(kafka_settings, partition, progress(3))
    await asyncio.sleep(0.01)  # the next record's millisecond is another one
    between = datetime.now(UTC)
    await asyncio.sleep(0.01)
    await produce(kafka_settings, partition, [event(PROGRESSED, time="2026-01-01T00:00:00Z")])
    text = between.isoformat()
    assert (await plan_of(kafka_settings, f"{partition}=@{text}")).ranges()[partition] == OffsetRange(3, 4)
    plan = await plan_of(kafka_settings, f"{partition}=@:{text}")
    assert plan.ranges()[partition] == OffsetRange(0, 3)
    (planned,) = plan.partitions
    assert planned.first_time is not None
    assert planned.last_time is not None
    assert planned.first_time <= planned.last_time < between


async def test_one_range_for_all_or_one_each(kafka_settings: KafkaSettings, partition: TopicPartition) -> None:
    other = TopicPartition(partition.topic, 1)
    await produce(kafka_settings, partition, progress(5))
    await produce(kafka_settings, other, progress(3))
    plan = await plan_of(kafka_settings, partition.topic, default="-2")
    assert plan.ranges() == {partition: OffsetRange(3, 5), other: OffsetRange(1, 3)}
    plan = await plan_of(kafka_settings, f"{partition}=1:2", f"{other}", default="-1")
    assert plan.ranges() == {partition: OffsetRange(1, 2), other: OffsetRange(2, 3)}
    assert len(await read(kafka_settings, plan)) == 2


async def test_what_comes_later_is_not_read(kafka_settings: KafkaSettings, partition: TopicPartition) -> None:
    await produce(kafka_settings, partition, progress(3))
    plan = await plan_of(kafka_settings, partition.topic)
    await produce(kafka_settings, partition, progress(2))
    assert [record.offset for record in await read(kafka_settings, plan)] == [0, 1, 2]


async def test_quiet_tails_end(kafka_settings: KafkaSettings, partition: TopicPartition) -> None:
    """A transaction's marker, and an aborted transaction, stand where a next record would be waited for."""
    producer = aiokafka.AIOKafkaProducer(**kafka_settings.client_options(), transactional_id=f"t-{partition.topic}")
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send_and_wait(partition.topic, b"a", partition=0)
        with pytest.raises(KeyError):
            async with producer.transaction():
                await producer.send_and_wait(partition.topic, b"b", partition=0)
                raise KeyError
    finally:
        await producer.stop()
    plan = await plan_of(kafka_settings, partition.topic)
    assert plan.ranges()[partition] == OffsetRange(0, 4)
    async with open_log(kafka_settings) as reader:
        batches = [batch async for batch in batches_of_log(reader, plan.ranges(), EventFilter())]
    assert [record.value for batch in batches for record in batch.records] == [b"a"]
    assert batches[-1].positions[partition] == 4
    assert plan.partitions[0].last_time is None


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("0:6", 4),
        ("0:2", 2),
        ("2", 2),
        ("start", 0),
        ("-3", 0),
        ("5:6", 0),
        ("@-1h", 4),
        ("@2020-01-01:end", 4),
        ("@2020-01-01:1h", 4),
    ],
)
async def test_what_retention_took_is_said(
    kafka_settings: KafkaSettings, partition: TopicPartition, text: str, gone: int
) -> None:
    await produce(kafka_settings, partition, progress(8))
    await delete_records(kafka_settings, partition, before=4)
    plan = await plan_of(kafka_settings, f"{partition}={text}")
    assert plan.truncated == gone
    assert plan.ranges()[partition].first >= 4
    if gone:
        with pytest.raises(
            PlanError, match=rf"{partition} begins at 4: up to {gone} of the records .* --allow-truncated"
        ):
            plan.require_whole()
    else:
        plan.require_whole()
    assert all(record.offset >= 4 for record in await read(kafka_settings, plan))


async def test_times_within_a_log_that_was_cut_are_whole(
    kafka_settings: KafkaSettings, partition: TopicPartition
) -> None:
    await produce(kafka_settings, partition, progress(3))
    await asyncio.sleep(0.01)  # the next record's millisecond is another one
    between = datetime.now(UTC)
    await asyncio.sleep(0.01)
    await produce(kafka_settings, partition, progress(2))
    await delete_records(kafka_settings, partition, before=2)
    plan = await plan_of(kafka_settings, f"{partition}=@{between.isoformat()}")
    assert plan.ranges()[partition] == OffsetRange(3, 5)
    assert plan.truncated == 0
    plan.require_whole()
    early = await plan_of(kafka_settings, f"{partition}=@{(between - timedelta(days=1)).isoformat()}")
    assert early.truncated == 2


async def test_what_does_not_exist_is_said(kafka_settings: KafkaSettings, partition: TopicPartition) -> None:
    with pytest.raises(PlanError, match=r"the topic no-such does not exist; .* arc-eval-db topics list"):
        await plan_of(kafka_settings, "no-such")
    with pytest.raises(PlanError, match="has the partitions 0 to 1, no 7"):
        await plan_of(kafka_settings, f"{partition.topic}/7")
    with pytest.raises(PlanError, match=r"/0 is named twice"):
        await plan_of(kafka_settings, str(partition), partition.topic)


async def test_events_one_by_one(kafka_settings: KafkaSettings, partition: TopicPartition) -> None:
    await produce(kafka_settings, partition, [event(PROGRESSED), event(COMPLETED), event(COMPLETED, {"score": "x"})])
    plan = await plan_of(kafka_settings, partition.topic)
    found = [each async for each in read_events(kafka_settings, plan)]
    assert [each.event and each.event.type for each in found] == [PROGRESSED, COMPLETED, None]
    assert found[2].refusal is not None
    assert found[2].refusal.detail.startswith("data.score: ")
    chosen = EventFilter(where="data.status")
    assert [each.record.offset async for each in read_events(kafka_settings, plan, chosen)] == [1, 2]


async def test_a_log_that_gives_nothing_is_not_waited_for(
    kafka_settings: KafkaSettings, partition: TopicPartition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka says nothing of brokers that are gone: it hands out nothing."""
    await produce(kafka_settings, partition, progress(3))
    async with open_log(kafka_settings) as reader:

        async def nothing(*_: Any, **__: Any) -> dict[Any, Any]:
            await asyncio.sleep(0)
            return {}

        monkeypatch.setattr(reader._consumer, "getmany", nothing)
        monkeypatch.setattr("arc_eval_db.consumers.kafka.log_reader._STALLS_MAX", 0.01)
        with pytest.raises(KafkaUnavailableError, match="has given nothing of"):
            async for _ in reader.read({partition: OffsetRange(0, 3)}):
                pass
        with pytest.raises(OffsetOutOfRangeError, match="ends at 3 and not at 9: another log"):
            async for _ in reader.read({partition: OffsetRange(0, 9)}):
                pass


async def test_no_group_is_joined_or_moved(kafka_settings: KafkaSettings, partition: TopicPartition) -> None:
    from aiokafka.admin import AIOKafkaAdminClient

    await produce(kafka_settings, partition, progress(3))
    plan = await plan_of(kafka_settings, partition.topic)
    admin = AIOKafkaAdminClient(**kafka_settings.client_options())
    await admin.start()
    try:
        before = {str(group) for group in await admin.list_consumer_groups()}
        assert len(await read(kafka_settings, plan)) == 3
        assert {str(group) for group in await admin.list_consumer_groups()} <= before
    finally:
        await admin.close()
