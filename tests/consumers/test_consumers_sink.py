"""The sink: rows, dead letters and offsets together or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from arc_eval_db.consumers.handler import ExecutionEventHandler
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.consumers.sink import CONSUMER_VERSION, CommitReport, ExactlyOnceSink
from arc_eval_db.database import DatabaseSettings, DatabaseUnavailableError, Session
from arc_eval_db.schemas.topics import TOOL_USED, TopicNames
from arc_eval_db.writer import FencedError, OffsetRange, OffsetStore, TopicPartition
from support.databases import connect
from support.events import event, record

pytestmark = pytest.mark.database

TOPIC = "arc-eval.tool-usage"
P0 = TopicPartition(TOPIC, 0)
P1 = TopicPartition(TOPIC, 1)
HANDLER = ExecutionEventHandler(TopicNames())


def good(*offsets: int) -> list[LogRecord]:
    return [record(event(TOOL_USED), offset=offset) for offset in offsets]


async def commit(session: Session, sink: ExactlyOnceSink, records: Sequence[LogRecord], first: int) -> CommitReport:
    return await sink.write(session, HANDLER.handle(records), {P0: OffsetRange(first, records[-1].offset + 1)})


async def stored(session: Session) -> tuple[int, int, int | None]:
    """Rows, dead letters, and where the group stands."""
    rows = await session.fetch_value("SELECT count(*) FROM tool_usage")
    letters = await session.fetch_value("SELECT count(*) FROM dead_letters")
    return rows, letters, (await OffsetStore("g").read(session, [P0])).get(P0)


@pytest.fixture
async def offsets(session: Session) -> OffsetStore:
    store = OffsetStore("g")
    await store.start_at(session, {P0: 0})
    return store


async def test_rows_dead_letters_and_offsets_are_one(session: Session, offsets: OffsetStore) -> None:
    records = [*good(0, 1), record(b"{", offset=2, topic=TOPIC), *good(7)]
    report = await commit(session, ExactlyOnceSink(offsets), records, 0)
    assert (report.inserted, report.duplicates, dict(report.dead_letters)) == (3, 0, {"invalid_json": 1})
    assert await stored(session) == (3, 1, 8)


async def test_a_dead_letter_holds_all_that_a_person_needs(session: Session, offsets: OffsetStore) -> None:
    bad = record(event(TOOL_USED, {"tool": ""}), offset=5)._replace(
        headers=(("ce_type", b"x\x00\xff"), ("h", b"1"), ("h", b"2"))
    )
    await commit(session, ExactlyOnceSink(offsets), [bad], 0)
    (row,) = await session.fetch("SELECT * FROM dead_letters")
    assert (row["topic"], row["log_partition"], row["log_offset"]) == (TOPIC, 0, 5)
    assert (row["reason"], row["error_class"], row["sqlstate"]) == ("invalid_data", "EventRefusedError", None)
    assert row["detail"] == "data.tool: String should have at least 1 character"
    assert (row["key"], row["value"]) == (bad.key, bad.value)
    assert str(row["event_id"]).encode() in (bad.value or b"")
    assert row["event_type"] == "x\ufffd\ufffd"
    assert row["headers"] == '[["ce_type", "x��"], ["h", "1"], ["h", "2"]]'
    assert (row["consumer_group"], row["consumer_version"]) == ("g", CONSUMER_VERSION)
    assert (row["attempts"], row["resolved_at"]) == (0, None)
    assert row["log_timestamp"] == bad.timestamp


async def test_what_the_database_refuses_is_a_dead_letter_with_its_sqlstate(
    session: Session, offsets: OffsetStore
) -> None:
    await session.execute("ALTER TABLE tool_usage ADD CONSTRAINT c CHECK (tool <> 'S3CRET')")
    records = [*good(0), record(event(TOOL_USED, {"tool": "S3CRET"}), offset=1), *good(2)]
    report = await commit(session, ExactlyOnceSink(offsets), records, 0)
    assert (report.inserted, dict(report.dead_letters)) == (2, {"refused_by_database": 1})
    (row,) = await session.fetch("SELECT * FROM dead_letters")
    assert (row["log_offset"], row["sqlstate"], row["error_class"]) == (1, "23514", "RowRefusedError")
    assert row["value"] == records[1].value
    assert "S3CRET" not in row["detail"]


async def test_the_same_batch_again_is_fenced_and_changes_nothing(session: Session, offsets: OffsetStore) -> None:
    sink = ExactlyOnceSink(offsets)
    records = [*good(0), record(b"", offset=1, topic=TOPIC)]
    await commit(session, sink, records, 0)
    with pytest.raises(FencedError):
        await commit(session, sink, records, 0)
    assert await stored(session) == (1, 1, 2)


async def test_the_slower_of_two_consumers_writes_nothing(database: DatabaseSettings, offsets: OffsetStore) -> None:
    """Both hold the partition. The slower has its rows in the transaction already when the faster commits."""
    reached, go_on = asyncio.Event(), asyncio.Event()

    class SlowStore(OffsetStore):
        async def advance(self, session: Session, *moves: Any) -> None:
            reached.set()
            await go_on.wait()
            await super().advance(session, *moves)

    async with await connect(database) as slow, await connect(database) as fast:
        # The parents are there already; who makes them first is waited for, which is another test.
        await offsets.start_at(fast, {P1: 0})
        await ExactlyOnceSink(offsets).write(fast, HANDLER.handle(good(0)), {P1: OffsetRange(0, 1)})
        late = asyncio.create_task(commit(slow, ExactlyOnceSink(SlowStore("g")), good(0, 1, 2), 0))
        await reached.wait()
        report = await commit(fast, ExactlyOnceSink(offsets), good(0, 1), 0)
        assert report.inserted == 2
        go_on.set()
        with pytest.raises(FencedError):
            await late
        assert await stored(fast) == (1 + 2, 0, 2)
        assert not slow.is_closed, "being fenced is normal: the connection goes on"


async def test_a_lost_commit_is_settled_by_the_stored_offset(database: DatabaseSettings, offsets: OffsetStore) -> None:
    """Killed after COPY, before the compare-and-set: nothing is there, and the same batch can be written."""

    class KilledStore(OffsetStore):
        async def advance(self, session: Session, *moves: Any) -> None:
            async with await connect(database) as other:
                pid = await session.fetch_value("SELECT pg_backend_pid()")
                await other.execute("SELECT pg_terminate_backend($1)", pid)
            await super().advance(session, *moves)

    records = good(0, 1, 2)
    async with await connect(database) as doomed:
        with pytest.raises(DatabaseUnavailableError):
            await commit(doomed, ExactlyOnceSink(KilledStore("g")), records, 0)
        assert doomed.is_closed
    async with await connect(database) as session:
        assert await stored(session) == (0, 0, 0)
        await commit(session, ExactlyOnceSink(offsets), records, 0)
        assert await stored(session) == (3, 0, 3)


async def test_a_wrong_schema_dead_letters_nothing(session: Session, offsets: OffsetStore) -> None:
    await session.execute("ALTER TABLE tool_usage RENAME COLUMN tool TO instrument")
    with pytest.raises(Exception, match="42703"):
        await commit(session, ExactlyOnceSink(offsets), good(0), 0)
    assert await session.fetch_value("SELECT count(*) FROM dead_letters") == 0
    assert await offsets.read(session, [P0]) == {P0: 0}


async def test_a_dead_letter_is_stored_once(session: Session, offsets: OffsetStore) -> None:
    sink = ExactlyOnceSink(offsets)
    bad = [record(b"{", offset=3, topic=TOPIC)]
    await commit(session, sink, bad, 0)
    other = OffsetStore("another-group")
    await other.start_at(session, {P0: 0})
    await commit(session, ExactlyOnceSink(other), bad, 0)
    assert await session.fetch_value("SELECT count(*) FROM dead_letters") == 1


async def test_a_dead_letter_of_a_topic_made_anew_is_another_one(session: Session, offsets: OffsetStore) -> None:
    sink = ExactlyOnceSink(offsets)
    old = record(b"{", offset=3, topic=TOPIC)
    await commit(session, sink, [old], 0)
    await offsets.reset(session, {P0: (4, 0)}, version="1")
    await commit(session, sink, [old._replace(timestamp_ms=old.timestamp_ms + 1)], 0)
    assert await session.fetch_value("SELECT count(*) FROM dead_letters") == 2
