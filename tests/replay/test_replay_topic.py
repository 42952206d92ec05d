"""Replays into another topic: as the records are, but for one header."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from arc_eval_db.consumers.kafka import LogWriter
from arc_eval_db.consumers.kafka.errors import RecordTooLargeError
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.database import DatabaseSettings, DatabaseUnavailableError, Session
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.replay import (
    EventFilter,
    HeldJob,
    JobError,
    JobPlan,
    JobStatus,
    JobStore,
    Progress,
    RangeSpec,
    RenewedSession,
    ReplayBatch,
    ReplayPlan,
    Source,
    TopicTarget,
    make_plan,
    open_log,
    replay_into_topic,
)
from arc_eval_db.schemas.topics import COMPLETED, RECORD_BYTES_MAX, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import TopicPartition
from support.replays import OPTIONS, whole
from support.topics import create_topic

pytestmark = [pytest.mark.database, pytest.mark.kafka]


async def test_to_another_topic(filled: KafkaSettings, database: DatabaseSettings, session: Session) -> None:
    topic = f"{filled.topic_prefix}.copy"
    await create_topic(filled, topic, 2)
    plan = await whole(filled)
    appended, job_id = await replay_into_topic(filled, database, topic, plan, OPTIONS, EventFilter(types=(COMPLETED,)))
    async with open_log(filled) as reader:
        copies = await make_plan(reader, [Source(topic, None, RangeSpec())])
        assert copies.records_max == appended > 0
        records = [record async for found in reader.read(copies.ranges()) for record in found]
    name, value = records[0].headers[-1]
    assert name == "arc_eval_replayed_from"
    origin, _, offset = value.decode().partition("@")
    source = TopicPartition(origin.rpartition("/")[0], int(origin.rpartition("/")[2]))
    async with open_log(filled) as reader:
        original = (await reader.records_at({source: int(offset)}))[source]
    assert (original.key, original.value) == (records[0].key, records[0].value)
    assert original.headers == records[0].headers[:-1]
    assert (await JobStore(session).read(job_id)).status is JobStatus.COMPLETED


@pytest.mark.parametrize("which", ["source", "live"])
async def test_not_into_a_topic_that_is_read(filled: KafkaSettings, database: DatabaseSettings, which: str) -> None:
    names = TopicNames(filled.topic_prefix).all
    async with open_log(filled) as reader:
        plan = await make_plan(reader, [Source(names[0], None, RangeSpec())])
    with pytest.raises(ArcEvalError, match="name another topic"):
        await replay_into_topic(filled, database, names[0] if which == "source" else names[1], plan, OPTIONS)


async def read_whole(settings: KafkaSettings, topic: str) -> list[LogRecord]:
    async with open_log(settings) as reader:
        plan = await make_plan(reader, [Source(topic, None, RangeSpec())])
        return [record async for found in reader.read(plan.ranges()) for record in found]


async def test_a_record_with_neither_key_nor_value_is_one_too(
    kafka_settings: KafkaSettings, database: DatabaseSettings
) -> None:
    source, copy = (f"{kafka_settings.topic_prefix}.{name}" for name in ("odd", "copy"))
    for topic in (source, copy):
        await create_topic(kafka_settings, topic, 1)
    await append(kafka_settings, source, [(b"k", None), (None, None), (None, b"")])
    appended, _ = await replay_into_topic(kafka_settings, database, copy, await whole(kafka_settings, source), OPTIONS)
    found = await read_whole(kafka_settings, copy)
    assert appended == 3
    assert sorted(map(repr, ((one.key, one.value) for one in found))) == sorted(
        map(repr, [(b"k", None), (None, None), (None, b"")])
    )
    assert all(one.headers[-1][0] == "arc_eval_replayed_from" for one in found)


async def test_a_record_as_large_as_one_may_be_has_room_for_its_mark(
    kafka_settings: KafkaSettings, database: DatabaseSettings
) -> None:
    source, copy = (f"{kafka_settings.topic_prefix}.{name}" for name in ("large", "copy"))
    for topic in (source, copy):
        await create_topic(kafka_settings, topic, 1, {"max.message.bytes": str(2 * RECORD_BYTES_MAX)})
    # What aiokafka counts beside the value: 80 bytes or so.
    await append(kafka_settings, source, [(None, b"x" * (RECORD_BYTES_MAX - 100))])
    appended, _ = await replay_into_topic(kafka_settings, database, copy, await whole(kafka_settings, source), OPTIONS)
    assert appended == 1


async def test_a_record_that_the_topic_does_not_take_is_named(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session
) -> None:
    source, copy = (f"{kafka_settings.topic_prefix}.{name}" for name in ("large", "narrow"))
    await create_topic(kafka_settings, source, 1)
    await create_topic(kafka_settings, copy, 1, {"max.message.bytes": "2000"})
    await append(kafka_settings, source, [(b"a", b"small"), (b"b", b"x" * 10_000)])
    with pytest.raises(RecordTooLargeError, match=r"narrow does not take .*large/0@\d.*raise its max\.message\.bytes"):
        await replay_into_topic(kafka_settings, database, copy, await whole(kafka_settings, source), OPTIONS)
    (job,) = await JobStore(session).list(1)
    assert job.status is JobStatus.FAILED
    assert "max.message.bytes" in (job.error or "")


async def test_what_was_appended_is_counted_after_an_error_too(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, copy = (f"{kafka_settings.topic_prefix}.{name}" for name in ("source", "copy"))
    for topic in (source, copy):
        await create_topic(kafka_settings, topic, 1)
    await append(kafka_settings, source, [(b"k", str(number).encode()) for number in range(10)])
    original = LogWriter.append
    calls = 0

    async def fails_at_the_third(self: LogWriter, *arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise DatabaseUnavailableError("in between")
        await original(self, *arguments)

    monkeypatch.setattr(LogWriter, "append", fails_at_the_third)
    plan = await whole(kafka_settings, source)
    with pytest.raises(DatabaseUnavailableError):
        await replay_into_topic(kafka_settings, database, copy, plan, replace(OPTIONS, records_per_s=2))
    (job,) = await JobStore(session).list(1)
    assert (job.status, dict(job.counts)) == (JobStatus.FAILED, {"appended": 4})
    appended, _ = await replay_into_topic(kafka_settings, database, copy, ReplayPlan(()), OPTIONS, resume=job.id)
    assert appended == 10
    assert [one.value for one in await read_whole(kafka_settings, copy)] == [str(each).encode() for each in range(10)]
    assert (await JobStore(session).read(job.id)).counts == {"appended": 10}


async def append(settings: KafkaSettings, topic: str, records: list[tuple[bytes | None, bytes | None]]) -> None:
    """Records of key and value, through what writes such as a producer does not."""
    made = [LogRecord(topic, 0, 0, 0, key, value, ()) for key, value in records]
    async with LogWriter(settings, topic, client_id="tests") as writer:
        await writer.append(made, [("mark", b"")] * len(made))


async def test_a_job_that_was_taken_over_appends_nothing(
    kafka_settings: KafkaSettings, database: DatabaseSettings
) -> None:
    topic = f"{kafka_settings.topic_prefix}.copy"
    await create_topic(kafka_settings, topic, 1)
    async with RenewedSession(database) as session:
        held = await HeldJob.create(session, JobPlan("topic", ReplayPlan(()), EventFilter(), topic), "tests")
    async with RenewedSession(database) as session, LogWriter(kafka_settings, topic, client_id="tests") as writer:
        await HeldJob.resume(session, held.id)
        target = TopicTarget(writer, session, held, Progress({}, {}))
        with pytest.raises(JobError, match="taken over"):
            await target.take(ReplayBatch([LogRecord("t", 0, 0, 0, None, b"v", ())], 1))
    assert await read_whole(kafka_settings, topic) == []
