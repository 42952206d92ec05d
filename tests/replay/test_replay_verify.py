"""The log against the tables: names exactly what was deleted, changed and added behind their back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from arc_eval_db.consumers.handler import ExecutionEventHandler, HandledBatch
from arc_eval_db.consumers.records import LogRecord, PartitionRecords
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.replay import (
    DifferenceKind,
    Interval,
    LetterFilter,
    LogVerifier,
    RetryOptions,
    discard_letters,
    retry_letters,
)
from arc_eval_db.replay import (
    verify as verify_module,
)
from arc_eval_db.replay.comparing import TablePair, _statements, content_columns
from arc_eval_db.replay.intervals import by_day, widened
from arc_eval_db.replay.staging import staged
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, STARTED, TOOL_USED, TopicNames
from arc_eval_db.writer import OffsetRange, TopicPartition
from arc_eval_db.writer.rows import COLUMNS, Row
from support.databases import connect
from support.dead_letters import LONG_AGO, set_aside
from support.events import event, lifecycle, record
from support.replayed import add_row, change, content, delete, event_id, logged, named, verify
from support.roles import ROLES, as_role

pytestmark = pytest.mark.database

WRITER, READER, ADMIN = ROLES
TOPIC = "arc-eval.tool-usage"
P0 = TopicPartition(TOPIC, 0)
TYPES = {"execution_events": STARTED, "failures": FAILURE_RECORDED, "outcomes": COMPLETED, "tool_usage": TOOL_USED}


def uses(*offsets: int, **envelope: Any) -> list[LogRecord]:
    return [one for offset in offsets for one in logged(TOOL_USED, first=offset, **envelope)]


def broken(*offsets: int) -> list[LogRecord]:
    return [record(b"{", offset=offset, topic=TOPIC) for offset in offsets]


async def test_what_was_consumed_agrees(session: Session) -> None:
    """On every topic; both sides have the same checksum, and another one for other content."""
    records = [one for execution in (lifecycle() for _ in range(20)) for one in map(record, execution)]
    numbered = [one._replace(offset=offset) for offset, one in enumerate(records)]
    await set_aside(session, numbered)
    checksums = set()
    for topic, tables in ((TOPIC, [20]), ("arc-eval.failures", [20]), ("arc-eval.executions", [40, 20])):
        report = await verify(session, [one for one in numbered if one.topic == topic], (0, 100))
        assert (report.agrees, report.differences, report.unnamed, report.duplicates) == (True, [], 0, 0)
        assert [tally.made for tally in report.tables.values()] == tables
        assert report.records == sum(tables)
        for tally in report.tables.values():
            assert (tally.agrees, tally.stored, tally.stored_checksum) == (True, tally.made, tally.made_checksum)
            checksums.add(tally.made_checksum)
    assert len(checksums) == 4


async def test_names_what_was_deleted_changed_and_added(session: Session) -> None:
    """And nothing else, in the two tables of one topic and beside rows of other partitions."""
    records = logged(*[STARTED, COMPLETED] * 10)
    others = logged(*[STARTED, COMPLETED] * 10, partition=1)
    await set_aside(session, [*records, *others])
    await delete(session, "execution_events", records[4])
    await delete(session, "outcomes", records[7])
    await change(session, "outcomes", "cost_usd", records[3])
    await change(session, "outcomes", "metadata", records[3])
    added = await add_row(session, "execution_events", records[0], 9)
    await add_row(session, "execution_events", records[0], 20)
    await add_row(session, "execution_events", records[0], 9, log_partition="1")
    report = await verify(session, records)
    assert named(report.differences) == {
        ("missing", "execution_events", event_id(records[4]), 4, ()),
        ("missing", "outcomes", event_id(records[7]), 7, ()),
        ("changed", "outcomes", event_id(records[3]), 3, ("cost_usd", "metadata")),
        ("extra", "execution_events", added, 9, ()),
    }
    assert report.counts == {DifferenceKind.MISSING: 2, DifferenceKind.CHANGED: 1, DifferenceKind.EXTRA: 1}
    assert {one.partition for one in report.differences} == {TopicPartition("arc-eval.executions", 0)}
    assert all(one.time is not None for one in report.differences)
    assert [(tally.made, tally.stored, tally.agrees) for tally in report.tables.values()] == [
        (10, 10, False),
        (10, 9, False),
    ]
    assert not report.agrees
    assert [one.offset for one in (await verify(session, others)).differences] == [9], "of the other partition"


@pytest.mark.parametrize("table", COLUMNS)
async def test_a_change_of_any_column_is_named(session: Session, table: str) -> None:
    columns = content_columns(table)
    records = logged(*[TYPES[table]] * (len(columns) + 1))
    await set_aside(session, records)
    await session.execute("ALTER TABLE outcomes DROP CONSTRAINT outcomes_status_check")
    await session.execute("ALTER TABLE outcomes DROP CONSTRAINT outcomes_success_check")
    for one, column in zip(records, columns, strict=False):
        await change(session, table, column, one)
    report = await verify(session, records)
    assert named(report.differences) == {
        ("changed", table, event_id(one), one.offset, (column,)) for one, column in zip(records, columns, strict=False)
    }
    tally = report.tables[table]
    assert (tally.made, tally.stored, tally.agrees) == (len(records), len(records), False)


@pytest.mark.parametrize("column", ["event_id", "time"])
async def test_a_row_whose_key_was_changed_is_missing_and_extra(session: Session, column: str) -> None:
    records = uses(0, 1)
    await set_aside(session, records)
    value = "gen_random_uuid()" if column == "event_id" else "time + INTERVAL '1 microsecond'"
    await session.execute(f"UPDATE tool_usage SET {column} = {value} WHERE log_offset = 1")
    report = await verify(session, records)
    assert [(one.kind, one.offset) for one in report.differences] == [
        (DifferenceKind.MISSING, 1),
        (DifferenceKind.EXTRA, 1),
    ]


async def test_how_json_is_written_does_not_matter(session: Session) -> None:
    """Nor in the checksum: order, spaces, and zeros after the point."""
    records = [record(event(TOOL_USED, {"arguments": {"b": 1.5, "a": {"y": 2, "x": [1]}}}), offset=0)]
    await set_aside(session, records)
    other = '{"a": {"x":[1.0],"y":2.00},  "b":1.50}'
    await session.execute("UPDATE tool_usage SET arguments = $1::jsonb", other)
    report = await verify(session, records)
    assert report.agrees
    assert report.tables["tool_usage"].agrees


async def test_an_event_that_came_twice_is_counted(session: Session) -> None:
    """In one window, and in two; also in another partition, as after partitions were added."""
    records = uses(0, 1, 2)
    again = [records[1]._replace(offset=3), records[0]._replace(offset=7), records[2]._replace(offset=8)]
    moved = [records[0]._replace(partition=1, offset=0)]
    await set_aside(session, [*records, *again, *moved])
    first, second = await verify(session, [*records, again[0]]), await verify(session, again[1:])
    assert (first.agrees, first.records, first.duplicates, first.tables["tool_usage"].made) == (True, 4, 1, 3)
    assert (second.agrees, second.records, second.duplicates, second.tables["tool_usage"].made) == (True, 2, 2, 2)
    assert (await verify(session, moved)).duplicates == 1


async def test_of_two_events_with_one_id_the_first_is_the_row(session: Session) -> None:
    one = event(TOOL_USED)
    records = [record(one, offset=0), record({**one, "data": {**one["data"], "duration_ms": 9}}, offset=1)]
    await set_aside(session, records)
    assert (await verify(session, records)).agrees


async def test_a_row_that_a_program_wrote_agrees(session: Session) -> None:
    """It stands nowhere in the log, and the log brought the same event later."""
    records = uses(0)
    await set_aside(session, records)
    await session.execute("UPDATE tool_usage SET log_partition = NULL, log_offset = NULL")
    report = await verify(session, records)
    assert (report.agrees, report.duplicates) == (True, 1)


async def test_refused_records_are_dead_letters(session: Session) -> None:
    records = [*uses(0), *broken(1, 2), *uses(3)]
    await set_aside(session, records)
    report = await verify(session, records)
    assert (report.agrees, report.set_aside, report.dead_lettered.total()) == (True, 2, 0)
    await session.execute("DELETE FROM dead_letters WHERE log_offset = 2")
    report = await verify(session, records)
    assert named(report.differences) == {("missing_dead_letter", None, None, 2, ())}
    assert report.set_aside == 1
    assert [tally.agrees for tally in report.tables.values()] == [True]


async def test_a_dead_letter_of_an_older_topic_is_another(session: Session) -> None:
    """A topic that was made anew gives its offsets again: the record's time tells which is which."""
    records = [*broken(0), *uses(1)]
    await set_aside(session, records[:1])
    await set_aside(session, records[1:], now=LONG_AGO)
    await session.execute("UPDATE dead_letters SET log_timestamp = log_timestamp - INTERVAL '1 ms'")
    report = await verify(session, records)
    assert named(report.differences) == {
        ("missing_dead_letter", None, None, 0, ()),
        ("missing", "tool_usage", event_id(records[1]), 1, ()),
    }


async def test_a_refused_record_names_its_event_if_it_can(session: Session) -> None:
    one = event(TOOL_USED, {"duration_ms": -1})
    report = await verify(session, [record(one, offset=0)])
    assert named(report.differences) == {("missing_dead_letter", None, UUID(one["id"]), 0, ())}


async def test_what_was_refused_and_would_be_stored_today_is_no_difference(session: Session) -> None:
    """Its time was too far ahead then. It is told by what became of it."""
    records = uses(0, 1, 2, 3)
    await set_aside(session, records, now=LONG_AGO)
    await session.execute("UPDATE dead_letters SET quarantined_at = now() WHERE log_offset = 1")
    letters = await session.fetch("SELECT id FROM dead_letters ORDER BY log_offset")
    await discard_letters(session, LetterFilter(ids=(letters[2]["id"],)), by="tester")
    await retry_letters(session, LetterFilter(ids=(letters[3]["id"],)), options=RetryOptions(by="tester"))
    report = await verify(session, records)
    assert report.agrees
    assert report.dead_lettered == {"open": 1, "quarantined": 1, "discarded": 1}
    assert report.set_aside == 0
    tally = report.tables["tool_usage"]
    assert (tally.made, tally.stored, tally.agrees) == (1, 1, True)


async def test_what_the_database_refused_is_a_dead_letter(session: Session) -> None:
    await session.execute("ALTER TABLE tool_usage ADD CONSTRAINT c CHECK (tool <> 'bad')")
    records = [*uses(0), record(event(TOOL_USED, {"tool": "bad"}), offset=1)]
    await set_aside(session, records)
    report = await verify(session, records)
    assert (report.agrees, report.dead_lettered) == (True, {"open": 1})
    await session.execute("DELETE FROM dead_letters")
    assert named((await verify(session, records)).differences) == {
        ("missing", "tool_usage", event_id(records[1]), 1, ())
    }


async def test_a_row_of_a_retried_letter_that_was_deleted_is_missing(session: Session) -> None:
    """Its letter says that it was stored: that excuses nothing."""
    records = uses(0, 1)
    await set_aside(session, records, now=LONG_AGO)
    await retry_letters(session, LetterFilter(), options=RetryOptions(by="tester"))
    await delete(session, "tool_usage", records[1])
    report = await verify(session, records)
    assert named(report.differences) == {("missing", "tool_usage", event_id(records[1]), 1, ())}


async def test_an_event_that_was_refused_first_and_stored_then_is_missed(session: Session) -> None:
    """Its first record is set aside; the second one was a row, until it was deleted."""
    (first,) = uses(0)
    second = first._replace(offset=1)
    await set_aside(session, [first], now=LONG_AGO)
    await set_aside(session, [second])
    assert (await verify(session, [first, second])).agrees
    await delete(session, "tool_usage", first)
    report = await verify(session, [first, second])
    assert named(report.differences) == {("missing", "tool_usage", event_id(first), 1, ())}


async def test_a_row_of_a_record_that_is_refused_today_is_extra(session: Session) -> None:
    """An older release stored it: there is no dead letter to miss, and no event to compare it with."""
    records = [*uses(0), *broken(1)]
    await set_aside(session, records[:1])
    added = await add_row(session, "tool_usage", records[0], 1)
    report = await verify(session, records)
    assert named(report.differences) == {("extra", "tool_usage", added, 1, ())}


class Unstorable(ExecutionEventHandler):
    """Makes rows of which one has a value that its column cannot hold."""

    def __init__(self, offset: int) -> None:
        super().__init__(TopicNames())
        self._offset = offset

    def add(self, batch: HandledBatch, source: PartitionRecords, *args: Any, **options: Any) -> None:
        super().add(batch, source, *args, **options)
        rows: list[Row] = batch.rows.tables["tool_usage"]
        column = list(COLUMNS["tool_usage"]).index("arguments")
        for index, row in enumerate(rows):
            if row[-1] == self._offset:
                rows[index] = (*row[:column], "{", *row[column + 1 :])


async def test_a_value_that_no_column_can_hold_is_a_refused_record(session: Session) -> None:
    """The other rows of the window are compared all the same."""
    records = uses(*range(10))
    await set_aside(session, records)
    await delete(session, "tool_usage", records[6])
    await delete(session, "tool_usage", records[8])
    verifier = LogVerifier(TopicNames())
    verifier._handler = Unstorable(6)
    report = await verifier.window(session, records, P0, OffsetRange(0, 10))
    assert named(report.differences) == {
        ("missing_dead_letter", None, event_id(records[6]), 6, ()),
        ("missing", "tool_usage", event_id(records[8]), 8, ()),
    }


async def test_added_rows_are_looked_for_around_the_events(session: Session) -> None:
    """A row that lies further from them than the margin is not seen; the report says where was looked."""
    noon = datetime.now(UTC) - timedelta(days=10)
    records = uses(0, time=noon.isoformat())
    await set_aside(session, records)
    near = [
        await add_row(session, "tool_usage", records[0], 0, time=f"time {sign} INTERVAL '59 minutes'") for sign in "+-"
    ]
    await add_row(session, "tool_usage", records[0], 0, time="time - INTERVAL '61 minutes'")
    report = await verify(session, records, margin=timedelta(hours=1))
    assert report.searched == [(noon - timedelta(hours=1), noon + timedelta(hours=1))]
    assert {one.event_id for one in report.differences} == set(near)
    assert len((await verify(session, records)).differences) == 3


async def test_a_late_event_does_not_make_all_between_be_searched(session: Session) -> None:
    now = datetime.now(UTC)
    times = [now - timedelta(days=30), now - timedelta(days=30, seconds=-5), now]
    records = [one for offset, time in enumerate(times) for one in uses(offset, time=time.isoformat())]
    await set_aside(session, records)
    between = await add_row(session, "tool_usage", records[0], 1, time="time + INTERVAL '15 days'")
    around = await add_row(session, "tool_usage", records[0], 1, time="time + INTERVAL '20 hours'")
    report = await verify(session, records)
    assert len(report.searched) == 2
    assert {one.event_id for one in report.differences} == {around}
    assert between != around


async def test_without_events_the_records_times_are_searched(session: Session) -> None:
    model = uses(0)
    await set_aside(session, [*model, *broken(1)])
    record_time = "to_timestamp(1770000000)"
    added = await add_row(session, "tool_usage", model[0], 2, time=record_time)
    report = await verify(session, broken(1), (1, 3))
    assert named(report.differences) == {("extra", "tool_usage", added, 2, ())}


async def test_a_window_without_records_agrees(session: Session) -> None:
    report = await verify(session, [], (5, 9), partition=P0)
    assert (report.agrees, report.records, report.searched) == (True, 0, [])


async def test_differences_past_the_limit_are_counted(session: Session) -> None:
    records = [*uses(*range(6)), *broken(6, 7)]
    await set_aside(session, records[:6])
    for one in records[:3]:
        await delete(session, "tool_usage", one)
    for _ in range(3):
        await add_row(session, "tool_usage", records[4], 4)
    for room, kinds in ((0, []), (2, ["missing"] * 2), (5, ["missing"] * 3 + ["extra"] * 2)):
        report = await verify(session, records, named_max=room)
        assert [one.kind for one in report.differences] == kinds
        assert report.counts == {"missing": 3, "extra": 3, "missing_dead_letter": 2}
        assert report.unnamed == 8 - len(kinds)
        assert [(tally.made, tally.stored) for tally in report.tables.values()] == [(6, 6)]


@pytest.mark.parametrize(
    "stranger",
    [uses(2)[0], uses(0)[0]._replace(partition=1), *logged(STARTED, first=1)],
    ids=["offset", "partition", "topic"],
)
async def test_a_record_of_another_window_is_an_error(session: Session, stranger: LogRecord) -> None:
    with pytest.raises(ValueError, match=r"arc-eval\.tool-usage/0 from 0 up to 2"):
        await verify(session, [*uses(0), stranger], (0, 2))
    with pytest.raises(ValueError, match="not one of"):
        records = PartitionRecords(TopicPartition(TOPIC, 1), uses(0))
        await LogVerifier(TopicNames()).window(session, records, P0, OffsetRange(0, 2))


async def test_records_by_partition_are_taken_too(session: Session) -> None:
    records = uses(0, 1)
    await set_aside(session, records)
    report = await LogVerifier(TopicNames()).window(session, PartitionRecords(P0, records), P0, OffsetRange(0, 2))
    assert (report.agrees, report.records) == (True, 2)


@pytest.mark.parametrize("role", [READER, ADMIN])
async def test_whoever_may_read_may_verify_and_nothing_changes(
    session: Session, database: DatabaseSettings, role: str
) -> None:
    """The reader's transactions are read-only by default."""
    records = [*uses(0, 1), *broken(2)]
    await set_aside(session, records)
    await delete(session, "tool_usage", records[1])
    before = await content(session)
    async with await connect(await as_role(database, role)) as own:
        for _ in range(2):
            report = await verify(own, records)
            assert (report.counts, report.set_aside) == ({DifferenceKind.MISSING: 1}, 1)
    assert await content(session) == before


async def test_a_window_is_compared_as_of_one_moment(
    session: Session, database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written meanwhile is seen whole or not at all."""
    records = uses(0, 1)
    await set_aside(session, records)
    stage_rows = verify_module.__dict__["stage_rows"]

    async def meddle(own: Session, table: str, rows: Sequence[Row]) -> list[Row]:
        async with await connect(database) as other:
            await delete(other, "tool_usage", records[1])
        staged_rows: list[Row] = await stage_rows(own, table, rows)
        return staged_rows

    monkeypatch.setattr(verify_module, "stage_rows", meddle)
    assert (await verify(session, records)).agrees
    monkeypatch.undo()
    assert not (await verify(session, records)).agrees


async def test_no_value_of_an_event_is_told(session: Session) -> None:
    records = [record(event(TOOL_USED, {"tool": "S3CRET"}), offset=0)]
    await set_aside(session, records)
    await change(session, "tool_usage", "tool", records[0])
    report = await verify(session, records)
    assert report.differences[0].columns == ("tool",)
    assert "S3CRET" not in repr(report)


@pytest.mark.usefixtures("timescaledb")
async def test_compressed_chunks_are_compared(session: Session) -> None:
    old = datetime.now(UTC) - timedelta(days=20)
    records = [one for offset in range(6) for one in uses(offset, time=(old + timedelta(seconds=offset)).isoformat())]
    await set_aside(session, records)
    await session.execute("SELECT compress_chunk(chunk) FROM show_chunks('tool_usage') AS chunk")
    assert (await verify(session, records)).agrees
    await delete(session, "tool_usage", records[1])
    await change(session, "tool_usage", "tool", records[2])
    added = await add_row(session, "tool_usage", records[3], 4)
    assert named((await verify(session, records)).differences) == {
        ("missing", "tool_usage", event_id(records[1]), 1, ()),
        ("changed", "tool_usage", event_id(records[2]), 2, ("tool",)),
        ("extra", "tool_usage", added, 4, ()),
    }


@pytest.mark.usefixtures("timescaledb")
async def test_one_chunk_is_looked_into(session: Session) -> None:
    now = datetime.now(UTC).replace(hour=12)
    times = [now - timedelta(days=days) for days in range(1, 8)]
    await set_aside(session, [one for offset, time in enumerate(times) for one in uses(offset, time=time.isoformat())])
    await session.execute(f"CREATE TEMP TABLE {staged('tool_usage')} (LIKE tool_usage)")
    statements = _statements(TablePair("tool_usage", staged("tool_usage")))
    for statement, more in ((statements.totals, ([],)), (statements.claiming, (0, 0, 9, 5))):
        plan = await session.fetch(f"EXPLAIN {statement}", times[3], times[3], *more)
        chunks = {word for row in plan for word in row["QUERY PLAN"].split() if word.startswith("_hyper_")}
        assert len({chunk.split("_chunk")[0] for chunk in chunks}) == 1, chunks


def test_times_are_taken_by_day() -> None:
    first = datetime(2026, 11, 23, 22, tzinfo=UTC)
    hour = timedelta(hours=1)
    times = [first + hour, first + 30 * hour, first, first + 3 * hour]
    assert by_day(times) == [(first, first + hour), (first + 3 * hour, first + 3 * hour), (first + 30 * hour,) * 2]
    assert by_day([]) == []


def test_wider_intervals_that_meet_are_one() -> None:
    start, hour = datetime(2026, 11, 23, tzinfo=UTC), timedelta(hours=1)
    apart = [Interval(start + 5 * hour, start + 6 * hour), Interval(start, start + hour)]
    assert widened(apart, hour) == [(start - hour, start + 2 * hour), (start + 4 * hour, start + 7 * hour)]
    assert widened(apart, 2 * hour) == [(start - 2 * hour, start + 8 * hour)]
    inside = [Interval(start, start + 9 * hour), Interval(start + hour, start + 2 * hour)]
    assert widened(inside, hour) == [(start - hour, start + 10 * hour)]
    last = datetime.max.replace(tzinfo=UTC)
    assert widened([Interval(last, last)], hour) == [(last - hour, last)]
