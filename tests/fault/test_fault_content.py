"""What is in an event must not matter: poison, rows that only the database refuses, sizes beyond every limit."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import aiokafka
import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from arc_eval_db.consumers import CommitReport, ConsumerSettings, ExactlyOnceSink, Worker
from arc_eval_db.consumers.handler import ExecutionEventHandler
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.database import DatabaseSettings, RowRefusedError, Session
from arc_eval_db.schemas.topics import TOOL_USED, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import OffsetRange, OffsetStore, TopicPartition
from support.events import event, record
from support.poison import REFUSED, SENT_BYTES_MAX, STORED

pytestmark = pytest.mark.database

BATCH_RECORDS = 5_000
EXTRA_STATEMENTS_MAX = 30
"""For one poison row in a batch, savepoints included, where the server names the line."""
ATTEMPTS_MAX = 30
"""COPYs where it does not, each in a savepoint of its own: twice for each time that 5,000 can be halved."""
TOPIC = "arc-eval.tool-usage"
PARTITION = TopicPartition(TOPIC, 0)
HANDLER = ExecutionEventHandler(TopicNames())


@pytest.mark.kafka
async def test_poison_among_good_events_costs_none_of_them(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    """One in a hundred is poison, in batches and fetches as they come."""
    good = [event(TOOL_USED) for _ in range(100 * (len(REFUSED) + len(STORED)))]
    records: list[tuple[bytes, bytes | None]] = [(b"good", orjson.dumps(content)) for content in good]
    records += [(name.encode(), value and value[:SENT_BYTES_MAX]) for name, (value, _) in REFUSED.items()]
    records += [(name.encode(), value) for name, value in STORED.items()]
    random.Random(20).shuffle(records)
    await send(kafka_settings, records)

    worker = Worker(
        kafka_settings, database, ConsumerSettings.load(group=group, batch_records_max=500), until_caught_up=True
    )
    report = await asyncio.wait_for(worker.run(), 90)

    assert (report.records, report.duplicates) == (len(records), 0)
    letters = await session.fetch("SELECT key, value, reason, log_partition, log_offset FROM dead_letters")
    assert {row["key"].decode(): row["reason"] for row in letters} == {
        name: reason for name, (_, reason) in REFUSED.items()
    }
    sent = dict(records)
    assert all(row["value"] == sent[row["key"]] for row in letters)
    rows = await session.fetch("SELECT event_id, log_partition, log_offset FROM tool_usage")
    expected = {UUID(content["id"]) for content in (*good, *map(orjson.loads, STORED.values()))}
    assert len(rows) == len(expected)
    assert {row["event_id"] for row in rows} == expected
    # Each offset of the log has one row or one dead letter.
    places = [(row["log_partition"], row["log_offset"]) for row in (*rows, *letters)]
    assert len(set(places)) == len(places) == len(records)
    assert sum(1 + max(offset for number, offset in places if number == partition) for partition in (0, 1)) == len(
        records
    )


async def send(settings: KafkaSettings, records: Sequence[tuple[bytes, bytes | None]]) -> None:
    topic = TopicNames(settings.topic_prefix).of_type(TOOL_USED)
    producer = aiokafka.AIOKafkaProducer(**settings.client_options(), acks="all", max_request_size=4_000_000)
    await producer.start()
    try:
        for number, (key, value) in enumerate(records):
            await producer.send(topic, value, key=key, partition=number % 2)
        await producer.flush()
    finally:
        await producer.stop()


async def keep_the_line(session: Session, table: str, columns: Sequence[str], rows: Sequence[Any]) -> int:
    """A server that says which line it was at."""
    return await Session.copy(session, table, columns, rows)


async def lose_the_line(session: Session, table: str, columns: Sequence[str], rows: Sequence[Any]) -> int:
    """A server that does not."""
    try:
        return await Session.copy(session, table, columns, rows)
    except RowRefusedError as error:
        error.line = None
        raise


Copy = Callable[[Session, str, Sequence[str], Sequence[Any]], Any]


class Statements:
    """Every statement that a session sends, and every COPY."""

    def __init__(self, session: Session, copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.copies = 0
        session._connection.add_query_logger(self._note)

        async def counted(table: str, columns: Sequence[str], rows: Sequence[Any]) -> int:
            self.count += 1
            self.copies += 1
            return int(await copy(session, table, columns, rows))

        monkeypatch.setattr(session, "copy", counted)

    async def _note(self, _: object) -> None:
        self.count += 1

    async def taken(self) -> tuple[int, int]:
        """All statements, and how many of them are COPYs; starts anew.

        The driver reports a statement a moment after it has ended.
        """
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.sleep(0)
        await asyncio.gather(*(asyncio.all_tasks() - tasks - {asyncio.current_task()}))
        taken = (self.count, self.copies)
        self.count = self.copies = 0
        return taken


def tool_uses(first: int, bad: int | None = None) -> list[LogRecord]:
    """A batch from offset `first` on; the one at place `bad` is what only the database refuses."""
    return [
        record(event(TOOL_USED, {"tool": "bad" if place == bad else "good"}), offset=first + place, topic=TOPIC)
        for place in range(BATCH_RECORDS)
    ]


@pytest.mark.parametrize("copy", [keep_the_line, lose_the_line])
@pytest.mark.parametrize("bad", [0, BATCH_RECORDS // 2, BATCH_RECORDS - 1])
async def test_a_row_that_only_the_database_refuses_costs_few_statements(
    session: Session, monkeypatch: pytest.MonkeyPatch, bad: int, copy: Copy
) -> None:
    await session.execute("ALTER TABLE tool_usage ADD CONSTRAINT no_bad CHECK (tool <> 'bad')")
    offsets = OffsetStore("g")
    await offsets.start_at(session, {PARTITION: 0})
    sink = ExactlyOnceSink(offsets)
    statements = Statements(session, copy, monkeypatch)

    async def commit(records: list[LogRecord]) -> CommitReport:
        first = records[0].offset
        return await sink.write(session, HANDLER.handle(records), {PARTITION: OffsetRange(first, first + len(records))})

    await commit(tool_uses(0))
    usual, usual_copies = await statements.taken()
    report = await commit(tool_uses(BATCH_RECORDS, bad))
    count, copies = await statements.taken()

    assert (usual, usual_copies) >= (5, 1), "nothing was counted"
    assert (report.inserted, dict(report.dead_letters)) == (BATCH_RECORDS - 1, {"refused_by_database": 1})
    (letter,) = await session.fetch("SELECT log_offset, sqlstate FROM dead_letters")
    assert (letter["log_offset"], letter["sqlstate"]) == (BATCH_RECORDS + bad, "23514")
    assert 0 < copies - usual_copies <= ATTEMPTS_MAX
    assert copy is lose_the_line or 0 < count - usual <= EXTRA_STATEMENTS_MAX, f"{count}, for a good batch {usual}"


@pytest.mark.kafka
async def test_a_record_larger_than_a_fetch_is_not_skipped(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    """A topic that somebody set to larger records: the record comes, is set aside, and the next ones are rows."""
    topic = TopicNames(kafka_settings.topic_prefix).of_type(TOOL_USED)
    admin = AIOKafkaAdminClient(**kafka_settings.client_options())
    await admin.start()
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": "4000000"})
        await admin.alter_configs([resource])
    finally:
        await admin.close()
    settings = ConsumerSettings.load(group=group, partition_fetch_bytes_max=1_048_576)
    huge = b'"' + random.Random(21).randbytes(3 * settings.partition_fetch_bytes_max // 2).hex().encode() + b'"'
    good = [orjson.dumps(event(TOOL_USED)) for _ in range(4)]
    await send(kafka_settings, [(b"k", value) for value in (good[0], good[1], huge, good[2], good[3])])

    worker = Worker(kafka_settings, database, settings, until_caught_up=True)
    report = await asyncio.wait_for(worker.run(), 60)

    assert (report.records, report.inserted, report.dead_letters) == (5, 4, 1)
    (letter,) = await session.fetch("SELECT reason, octet_length(value) AS bytes, log_offset FROM dead_letters")
    assert (letter["reason"], letter["bytes"], letter["log_offset"]) == ("too_large", len(huge), 1)
