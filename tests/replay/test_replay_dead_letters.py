"""Trying dead letters again: what each becomes, once, whoever else is at work and whenever it is killed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from arc_eval_db.consumers.handler import ExecutionEventHandler
from arc_eval_db.consumers.records import LogRecord
from arc_eval_db.consumers.sink import ExactlyOnceSink
from arc_eval_db.database import (
    BatchTooLargeError,
    DatabaseSettings,
    DatabaseUnavailableError,
    SchemaMismatchError,
    Session,
    TransactionConflictError,
)
from arc_eval_db.replay import (
    DeadLetterPrivilegeError,
    DeadLetterRetry,
    LetterFilter,
    LetterState,
    NoSuchDeadLetterError,
    RetryOptions,
    RetryReport,
    count_letters,
    dead_letter_retry,
    discard_letters,
    list_letters,
    read_letter,
    require_letters,
    retry_letters,
)
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.refusals import RefusalReason
from arc_eval_db.schemas.topics import COMPLETED, TOOL_USED, TopicNames
from arc_eval_db.writer import BatchWriter, EventRow, OffsetRange, OffsetStore, RowReport, TopicPartition
from support.conditions import eventually
from support.databases import connect
from support.dead_letters import LONG_AGO, marks, set_aside, set_aside_as
from support.events import event, lifecycle, record
from support.roles import ROLES, as_role

pytestmark = pytest.mark.database

WRITER, READER, ADMIN = ROLES
TOPIC = "arc-eval.tool-usage"
P0 = TopicPartition(TOPIC, 0)
EVERYTHING = LetterFilter()
OPTIONS = RetryOptions(by="tester@here")


def uses(*offsets: int) -> list[LogRecord]:
    """Valid events, one at each offset."""
    return [record(event(TOOL_USED), offset=offset) for offset in offsets]


def forever_bad(*offsets: int) -> list[LogRecord]:
    return [record(b"{", offset=offset, topic=TOPIC) for offset in offsets]


async def write_live(session: Session, records: Sequence[LogRecord]) -> None:
    batch = ExecutionEventHandler(TopicNames()).handle(records)
    async with session.transaction():
        report = await BatchWriter().write_batch(session, batch.rows)
    assert batch.dead_letters == []
    assert report.refused == {}


async def retry(session: Session, chosen: LetterFilter = EVERYTHING, **options: Any) -> RetryReport:
    return await retry_letters(session, chosen, options=RetryOptions(**{"by": "tester@here", **options}))


def numbers(report: RetryReport) -> tuple[int, int, int, int]:
    """Stored, duplicates, refused, quarantined."""
    return report.stored, report.duplicates, report.refused.total(), report.quarantined


async def stored(session: Session) -> int:
    return int(await session.fetch_value("SELECT count(*) FROM tool_usage"))


class Meddler(BatchWriter):
    """The writer, with something else happening just before or after it has written."""

    def __init__(
        self,
        *,
        before: Callable[[Session, int], Awaitable[None]] | None = None,
        after: Callable[[Session, int], Awaitable[None]] | None = None,
    ) -> None:
        self.before, self.after, self.batches = before, after, list[int]()

    async def write_rows(self, session: Session, rows: Sequence[EventRow]) -> RowReport:
        self.batches.append(len(rows))
        if self.before:
            await self.before(session, len(self.batches))
        report = await super().write_rows(session, rows)
        if self.after:
            await self.after(session, len(self.batches))
        return report


def with_writer(writer: BatchWriter, **options: Any) -> DeadLetterRetry:
    made = DeadLetterRetry(TopicNames(), RetryOptions(**{"by": "tester@here", **options}))
    made._writer = writer
    return made


async def test_a_time_that_has_come_is_stored_where_it_stood(session: Session) -> None:
    records = [record(event(TOOL_USED), offset=7, partition=1)]
    await set_aside(session, records, now=LONG_AGO)
    assert await marks(session, "reason", "resolved_at") == [("time_out_of_range", None)]
    report = await retry(session)
    assert numbers(report) == (1, 0, 0, 0)
    (row,) = await session.fetch("SELECT log_partition, log_offset FROM tool_usage")
    assert tuple(row.values()) == (1, 7)
    columns = ("resolution", "resolved_by", "attempts", "last_detail", "quarantined_at")
    assert await marks(session, *columns) == [("stored", "tester@here", 1, None, None)]
    assert await session.fetch_value("SELECT resolved_at >= dead_lettered_at FROM dead_letters")


async def test_what_the_database_refused_is_stored_when_it_would(session: Session) -> None:
    await session.execute("ALTER TABLE tool_usage ADD CONSTRAINT c CHECK (tool <> 'S3CRET')")
    bad = [record(event(TOOL_USED, {"tool": "S3CRET"}), offset=offset) for offset in (1, 3)]
    await set_aside(session, [*uses(0), bad[0], *uses(2), bad[1]])
    assert numbers(await retry(session)) == (0, 0, 2, 0)
    for resolution, attempts, detail in await marks(session, "resolution", "attempts", "last_detail"):
        assert (resolution, attempts) == (None, 1)
        assert detail.startswith("refused_by_database: CheckViolationError (23514)")
        assert "S3CRET" not in detail
    await session.execute("ALTER TABLE tool_usage DROP CONSTRAINT c")
    assert numbers(await retry(session)) == (2, 0, 0, 0)
    assert [row[:2] for row in await marks(session, "resolution", "attempts")] == [("stored", 2)] * 2
    assert await stored(session) == 4


async def test_a_type_that_is_known_by_now_is_stored(session: Session) -> None:
    await set_aside_as(
        session, RefusalReason.UNKNOWN_TYPE, [record(one, offset=index) for index, one in enumerate(lifecycle())]
    )
    report = await retry(session)
    assert numbers(report) == (5, 0, 0, 0)
    row = await session.fetch("SELECT started_at, ended_at, attempt, source FROM executions")
    assert None not in row[0].values(), "what a start says of its execution is there too"


async def test_twice_stores_nothing_twice(session: Session) -> None:
    await set_aside(session, uses(0, 1), now=LONG_AGO)
    assert numbers(await retry(session)) == (2, 0, 0, 0)
    before = await marks(session, "*")
    again = await retry(session)
    assert (again.seen, await stored(session)) == (0, 2)
    assert await marks(session, "*") == before


async def test_each_letter_says_whether_it_was_stored_or_there_already(session: Session) -> None:
    """Beside duplicates: an event that two letters hold, a refused one, and one the database refuses."""
    records = uses(*range(8))
    records[6] = records[2]._replace(offset=6)
    await session.execute("ALTER TABLE tool_usage ADD CONSTRAINT c CHECK (tool <> 'bad')")
    records += [*forever_bad(8), record(event(TOOL_USED, {"tool": "bad"}), offset=9)]
    await set_aside(session, records, now=LONG_AGO)
    await write_live(session, [records[1], records[4], records[7]])
    assert numbers(await retry(session)) == (4, 4, 2, 0)
    new, old = "stored", "duplicate"
    expected = [new, old, new, new, old, new, old, old, None, None]
    assert [resolution for (resolution,) in await marks(session, "resolution")] == expected
    assert await stored(session) == 7


async def test_what_a_worker_inserts_meanwhile_is_a_duplicate(database: DatabaseSettings, session: Session) -> None:
    """Its row is not committed yet when the retry comes to it: the retry waits, and is no error."""
    records = uses(0, 1, 2)
    await set_aside(session, records, now=LONG_AGO)
    batch = ExecutionEventHandler(TopicNames()).handle([records[1]])
    async with await connect(database) as worker, await connect(database) as watcher:
        async with worker.transaction():
            await BatchWriter().write_batch(worker, batch.rows)
            running = asyncio.create_task(retry(session))

            async def waits() -> bool:
                return bool(
                    await watcher.fetch_value(
                        "SELECT count(*) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                    )
                )

            await eventually(waits, "the retry waits for the worker")
        assert numbers(await running) == (2, 1, 0, 0)
    assert await marks(session, "resolution") == [("stored",), ("duplicate",), ("stored",)]
    assert await stored(session) == 3


async def test_two_at_once_share_the_letters(database: DatabaseSettings, session: Session) -> None:
    """The second passes over what the first holds, and does not wait for it."""
    await set_aside(session, [*uses(*range(4)), *forever_bad(4, 5)], now=LONG_AGO)
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_: Session, batch: int) -> None:
        if batch == 1:
            reached.set()
            await go_on.wait()

    async with await connect(database) as slow:
        first = asyncio.create_task(with_writer(Meddler(before=hold), batch_letters_max=2).run(slow, EVERYTHING))
        await reached.wait()
        other = await asyncio.wait_for(retry(session), 20)
        assert numbers(other) == (2, 0, 2, 0)
        go_on.set()
        assert numbers(await first) == (2, 0, 0, 0)
    assert [attempts for (attempts,) in await marks(session, "attempts")] == [1] * 6, "each once"
    assert await stored(session) == 4


async def test_letters_that_another_run_has_tried_since_are_left(database: DatabaseSettings, session: Session) -> None:
    await set_aside(session, [*uses(0), *forever_bad(1)], now=LONG_AGO)

    async def other_run(_: Session, batch: int) -> None:
        if batch == 1:
            async with await connect(database) as other:
                assert numbers(await retry(other)) == (0, 0, 1, 0)

    writer = Meddler(before=other_run)
    assert numbers(await with_writer(writer, batch_letters_max=1).run(session, EVERYTHING)) == (1, 0, 0, 0)
    assert await marks(session, "attempts") == [(1,), (1,)]


async def test_letters_that_come_meanwhile_are_for_the_next_run(database: DatabaseSettings, session: Session) -> None:
    await set_aside(session, uses(0), now=LONG_AGO)

    async def one_more(_: Session, batch: int) -> None:
        async with await connect(database) as other:
            await set_aside(other, forever_bad(batch))

    assert numbers(await with_writer(Meddler(after=one_more)).run(session, EVERYTHING)) == (1, 0, 0, 0)
    assert await marks(session, "attempts") == [(1,), (0,)]


async def test_killed_in_the_middle_changes_nothing(database: DatabaseSettings, session: Session) -> None:
    """Its rows were written and not committed when the connection went."""
    await set_aside(session, [*uses(0, 1), *forever_bad(2)], now=LONG_AGO)
    before = await marks(session, "*")

    async def kill(victim: Session, _: int) -> None:
        pid = await victim.fetch_value("SELECT pg_backend_pid()")
        await session.execute("SELECT pg_terminate_backend($1)", pid)

    async with await connect(database) as doomed:
        with pytest.raises(DatabaseUnavailableError):
            await with_writer(Meddler(after=kill)).run(doomed, EVERYTHING)
        assert doomed.is_closed
    assert (await marks(session, "*"), await stored(session)) == (before, 0)
    assert numbers(await retry(session)) == (2, 0, 1, 0)


async def test_what_was_done_before_a_failure_stays(session: Session) -> None:
    await set_aside(session, uses(0, 1), now=LONG_AGO)
    reports = []

    async def fail(_: Session, batch: int) -> None:
        if batch == 2:
            raise SchemaMismatchError("no such column")

    writer = Meddler(after=fail)
    doomed = with_writer(writer, batch_letters_max=1)
    doomed._on_batch = lambda report: reports.append(report.seen)
    with pytest.raises(SchemaMismatchError):
        await doomed.run(session, EVERYTHING)
    assert reports == [1]
    assert await marks(session, "resolution", "attempts") == [("stored", 1), (None, 0)]
    assert await stored(session) == 1


async def test_a_wrong_schema_counts_no_attempt(session: Session) -> None:
    await set_aside(session, [*uses(0), *forever_bad(1)], now=LONG_AGO)
    await session.execute("ALTER TABLE tool_usage RENAME COLUMN tool TO instrument")
    with pytest.raises(SchemaMismatchError, match="42703"):
        await retry(session)
    assert await marks(session, "attempts", "last_attempt_at") == [(0, None)] * 2


async def test_too_many_attempts_end_in_quarantine(session: Session) -> None:
    await set_aside(session, [*forever_bad(0), *uses(1)], now=LONG_AGO)
    await session.execute("ALTER TABLE tool_usage ADD CONSTRAINT c CHECK (tool = 'nothing')")
    assert [numbers(await retry(session, attempts_max=3)) for _ in range(3)] == [
        *[(0, 0, 2, 0)] * 2,
        (0, 0, 2, 2),
    ]
    assert [letter.state for letter in await list_letters(session, EVERYTHING)] == [LetterState.QUARANTINED] * 2
    await session.execute("ALTER TABLE tool_usage DROP CONSTRAINT c")
    left = await retry(session, attempts_max=3)
    assert (left.seen, left.left_quarantined, await marks(session, "attempts")) == (0, 2, [(3,), (3,)])
    since = await marks(session, "quarantined_at")
    asked = await retry(session, attempts_max=3, quarantined=True)
    assert (numbers(asked), asked.left_quarantined) == ((1, 0, 1, 1), 0)
    assert await marks(session, "resolution", "attempts") == [(None, 4), ("stored", 4)]
    assert await marks(session, "quarantined_at") == since, "the first time is kept"


async def test_a_higher_limit_comes_first(session: Session) -> None:
    """One that was quarantined is so until somebody asks for it; the report names those it left, and not its own."""
    await set_aside(session, forever_bad(0, 1))
    await retry(session, LetterFilter(ids=((await list_letters(session, EVERYTHING))[0].id,)), attempts_max=1)
    report = await retry(session, attempts_max=1)
    assert (numbers(report), report.left_quarantined) == ((0, 0, 1, 1), 1)
    assert numbers(await retry(session, attempts_max=100)) == (0, 0, 0, 0)


async def test_a_dry_run_tells_and_changes_nothing(session: Session) -> None:
    records = [*uses(0, 1, 2), *forever_bad(3), record(event(TOOL_USED, {"tool": "bad"}), offset=4)]
    await session.execute("ALTER TABLE tool_usage ADD CONSTRAINT c CHECK (tool <> 'bad')")
    await set_aside(session, records, now=LONG_AGO)
    await write_live(session, records[:1])
    tables = ("dead_letters", "tool_usage", "executions", "scenarios", "configuration_versions")

    async def everything() -> list[Any]:
        return [await session.fetch(f"SELECT t::text FROM {table} AS t ORDER BY 1") for table in tables]

    before = await everything()
    dry = await retry(session, dry_run=True, attempts_max=1, batch_letters_max=2)
    assert (numbers(dry), dry.left_quarantined) == ((2, 1, 2, 2), 0)
    assert await everything() == before
    assert numbers(await retry(session, attempts_max=1)) == numbers(dry)


async def test_topics_of_another_prefix_are_left_alone(session: Session) -> None:
    """Nothing is wrong with such a letter: it waits for whoever has its prefix."""
    use = uses(0)[0]
    await set_aside_as(session, RefusalReason.UNKNOWN_TYPE, [use._replace(topic="staging.tool-usage"), *uses(1)])
    report = await retry(session, attempts_max=1)
    assert (numbers(report), dict(report.unknown_topics)) == ((1, 0, 0, 0), {"staging.tool-usage": 1})
    assert await marks(session, "attempts", "resolution", "quarantined_at") == [(0, None, None), (1, "stored", None)]
    staging = await retry_letters(session, EVERYTHING, options=OPTIONS, topics=TopicNames("staging"))
    assert numbers(staging) == (1, 0, 0, 0)


async def test_letters_at_one_place_of_two_logs_are_told_apart(session: Session) -> None:
    old, new = forever_bad(5)[0], uses(5)[0]
    new = new._replace(timestamp_ms=new.timestamp_ms + 1)
    await set_aside_as(session, RefusalReason.INVALID_JSON, [old])
    await set_aside_as(session, RefusalReason.TIME_OUT_OF_RANGE, [new])
    assert numbers(await retry(session)) == (1, 0, 1, 0)
    assert await marks(session, "reason", "resolution") == [("invalid_json", None), ("time_out_of_range", "stored")]


async def test_a_lock_time_out_is_tried_again(database: DatabaseSettings, session: Session) -> None:
    await set_aside(session, [*uses(0), *forever_bad(1)], now=LONG_AGO)
    brief = database.model_copy(update={"database_lock_timeout_ms": 50})
    async with await connect(database) as other, await connect(brief) as retrying:
        await other.execute("BEGIN; LOCK TABLE tool_usage IN ACCESS EXCLUSIVE MODE")

        async def let_go(_: Session, batch: int) -> None:
            if batch == 2:
                await other.execute("ROLLBACK")

        writer = Meddler(before=let_go)
        assert numbers(await with_writer(writer).run(retrying, EVERYTHING)) == (1, 0, 1, 0)
        assert len(writer.batches) == 2
    assert await marks(session, "attempts") == [(1,), (1,)], "an attempt that came to nothing is none"


async def test_conflicts_without_end_are_an_error(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arc_eval_db.replay.dead_letters._CONFLICTS_MAX", 1)
    await set_aside(session, uses(0), now=LONG_AGO)

    async def conflict(_: Session, __: int) -> None:
        raise TransactionConflictError("deadlock")

    writer = Meddler(after=conflict)
    with pytest.raises(TransactionConflictError):
        await with_writer(writer).run(session, EVERYTHING)
    assert (len(writer.batches), await marks(session, "attempts"), await stored(session)) == (2, [(0,)], 0)


async def test_a_transaction_that_is_too_large_is_tried_with_fewer_letters(session: Session) -> None:
    await set_aside(session, uses(*range(5)), now=LONG_AGO)

    async def too_large(_: Session, __: int) -> None:
        if writer.batches[-1] > 2:
            raise BatchTooLargeError("out of locks")

    writer = Meddler(after=too_large)
    assert numbers(await with_writer(writer, batch_letters_max=5).run(session, EVERYTHING)) == (5, 0, 0, 0)
    assert writer.batches == [5, 2, 2, 1]


async def test_workers_go_on_meanwhile(database: DatabaseSettings, session: Session) -> None:
    """Two consumers write events of the same executions and configurations, some of them the letters' own."""
    events = [one for _ in range(60) for one in lifecycle()]
    letters = [record(one, offset=index) for index, one in enumerate(events)]
    await set_aside(session, letters, now=LONG_AGO)
    overlap = letters[::7]

    async def consume(partition: int) -> int:
        place = TopicPartition(TOPIC, partition)
        store, handler = OffsetStore(f"g{partition}"), ExecutionEventHandler(TopicNames())
        async with await connect(database) as worker:
            await store.start_at(worker, {place: 0})
            sink, inserted = ExactlyOnceSink(store), 0
            for offset in range(12):
                mine = overlap[offset * 5 : offset * 5 + 5]
                batch = handler.handle([*mine, *(record(one) for one in lifecycle())])
                while True:
                    try:
                        report = await sink.write(worker, batch, {place: OffsetRange(offset, offset + 1)})
                        break
                    except TransactionConflictError:
                        continue
                inserted += report.inserted
            return inserted

    async with await connect(database) as retrying:
        first, second, report = await asyncio.gather(consume(0), consume(1), retry(retrying, batch_letters_max=20))
    assert (report.stored + report.duplicates, report.refused.total()) == (300, 0)
    resolutions = [resolution for (resolution,) in await marks(session, "resolution")]
    assert (resolutions.count("stored"), resolutions.count("duplicate")) == (report.stored, report.duplicates)
    rows = 0
    for table in ("tool_usage", "outcomes", "failures", "execution_events"):
        rows += await session.fetch_value(f"SELECT count(*) FROM {table}")
    assert rows == report.stored + first + second == 300 + 2 * 12 * 5


async def completeness(session: Session) -> tuple[Any, ...]:
    (row,) = await session.fetch(
        "SELECT emitted, stored, dead_lettered, outstanding, is_complete FROM execution_completeness"
    )
    return tuple(row.values())


async def one_refused(session: Session) -> None:
    """An execution of five events, one of which the database refuses."""
    subject = ids.uuid7()
    events = lifecycle(subject)
    assert events[-1]["type"] == COMPLETED
    events[-1]["data"] |= {"last_sequence": 5}
    await session.execute("ALTER TABLE failures ADD CONSTRAINT c CHECK (kind = 'nothing')")
    records = [record(one, offset=index)._replace(key=str(subject).encode()) for index, one in enumerate(events)]
    await set_aside(session, records)
    assert await completeness(session) == (5, 4, 1, 0, True)


async def test_a_stored_letter_counts_as_stored_in_its_execution(session: Session) -> None:
    await one_refused(session)
    await session.execute("ALTER TABLE failures DROP CONSTRAINT c")
    assert numbers(await retry(session)) == (1, 0, 0, 0)
    assert await completeness(session) == (5, 5, 0, 0, True)


async def test_a_discarded_letter_is_accounted_for(session: Session) -> None:
    await one_refused(session)
    assert await discard_letters(session, EVERYTHING, by="x") == 1
    assert await completeness(session) == (5, 4, 1, 0, True)


async def test_the_filter_says_which(session: Session) -> None:
    await set_aside(session, [*uses(0), *forever_bad(1, 2)], now=LONG_AGO)
    await set_aside(session, [record(b"{", offset=3, topic="arc-eval.failures")])
    await session.execute("UPDATE dead_letters SET dead_lettered_at = now() - INTERVAL '2 hours' WHERE log_offset = 1")
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    second = (await list_letters(session, EVERYTHING))[1].id
    for chosen, expected in (
        (LetterFilter(), [3, 2, 1, 0]),
        (LetterFilter(reasons=(RefusalReason.INVALID_JSON,)), [3, 2, 1]),
        (LetterFilter(reasons=(RefusalReason.TIME_OUT_OF_RANGE, RefusalReason.EMPTY)), [0]),
        (LetterFilter(topics=("arc-eval.failures",)), [3]),
        (LetterFilter(since=hour_ago), [3, 2, 0]),
        (LetterFilter(until=hour_ago), [1]),
        (LetterFilter(ids=(second,)), [2]),
        (LetterFilter(ids=()), []),
        (LetterFilter(topics=(TOPIC,), reasons=(RefusalReason.INVALID_JSON,), since=hour_ago), [2]),
    ):
        found = await list_letters(session, chosen)
        assert [letter.log_offset for letter in found] == expected
        assert sum(count.letters for count in await count_letters(session, chosen)) == len(expected)
        assert (await retry(session, chosen, dry_run=True)).seen == len(expected)
    with pytest.raises(ValueError, match="time zone"):
        LetterFilter(since=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the mistake
    assert numbers(await retry(session, LetterFilter(topics=("arc-eval.failures",)))) == (0, 0, 1, 0)
    assert await marks(session, "attempts") == [(0,), (0,), (0,), (1,)]


async def test_pages_and_states(session: Session) -> None:
    await set_aside(session, [*uses(0), *forever_bad(1, 2, 3)], now=LONG_AGO)
    letters = await list_letters(session, EVERYTHING)
    await retry(session, LetterFilter(ids=(letters[0].id,)), attempts_max=1)
    await retry(session, LetterFilter(ids=(letters[3].id,)))
    page = await list_letters(session, EVERYTHING, limit=2)
    assert [letter.log_offset for letter in page] == [3, 2]
    assert [letter.log_offset for letter in await list_letters(session, EVERYTHING, before_id=page[-1].id)] == [1]
    for states, expected in (
        ([LetterState.OPEN], [2, 1]),
        ([LetterState.QUARANTINED], [3]),
        ([LetterState.RESOLVED], [0]),
        (list(LetterState), [3, 2, 1, 0]),
    ):
        found = await list_letters(session, EVERYTHING, states=states)
        assert [letter.log_offset for letter in found] == expected
        assert {letter.state for letter in found} == set(states)
    counts = await count_letters(session, EVERYTHING, states=list(LetterState))
    assert [(count.reason, count.open, count.quarantined, count.resolved) for count in counts] == [
        ("invalid_json", 2, 1, 0),
        ("time_out_of_range", 0, 0, 1),
    ]


async def test_discarding_resolves_what_is_not_resolved(database: DatabaseSettings, session: Session) -> None:
    await set_aside(session, [*uses(0), *forever_bad(1, 2, 3)], now=LONG_AGO)
    ids = [letter.id for letter in reversed(await list_letters(session, EVERYTHING))]
    await retry(session, LetterFilter(ids=(ids[0],)))
    await retry(session, LetterFilter(ids=(ids[1],)), attempts_max=1)
    for states, up_to_id, expected in (
        ([LetterState.OPEN], ids[2], 1),
        ([LetterState.OPEN], ids[2], 0),
        ([LetterState.RESOLVED], ids[3], 0),
        ([LetterState.QUARANTINED], ids[3], 1),
        (list(LetterState), None, 1),
    ):
        assert await discard_letters(session, EVERYTHING, by="me@here", states=states, up_to_id=up_to_id) == expected
    by = "me@here"
    assert await marks(session, "resolution", "resolved_by") == [("stored", "tester@here"), *[("discarded", by)] * 3]
    assert (await retry(session, quarantined=True)).seen == 0


async def test_many_are_discarded_in_parts(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arc_eval_db.replay.dead_letters._DISCARDED_AT_ONCE", 2)
    await set_aside(session, forever_bad(*range(5)))
    assert await discard_letters(session, EVERYTHING, by="x") == 5


async def test_discarding_waits_for_a_retry_and_leaves_what_it_stored(
    database: DatabaseSettings, session: Session
) -> None:
    await set_aside(session, [*uses(0), *forever_bad(1)], now=LONG_AGO)
    async with await connect(database) as other:
        discarding: list[asyncio.Task[int]] = []

        async def discard_meanwhile(retrying: Session, _: int) -> None:
            discarding.append(asyncio.create_task(discard_letters(other, EVERYTHING, by="x")))

            async def waits() -> bool:
                return bool(
                    await retrying.fetch_value(
                        "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
                    )
                )

            await eventually(waits, "the other one waits")

        report = await with_writer(Meddler(after=discard_meanwhile)).run(session, EVERYTHING)
        assert (numbers(report), await discarding[0]) == ((1, 0, 1, 0), 1)
    assert await marks(session, "resolution") == [("stored",), ("discarded",)]


async def test_a_letter_is_read_whole(session: Session) -> None:
    bad = record(b"\xff", offset=4, topic=TOPIC)._replace(headers=(("a", b"1"), ("a", b"\xff")))
    (letter_id,) = await set_aside(session, [bad])
    letter, content = await read_letter(session, letter_id)
    assert (letter.id, letter.log_offset, letter.state) == (letter_id, 4, LetterState.OPEN)
    assert (content.key, content.value, content.headers) == (bad.key, b"\xff", (("a", "1"), ("a", "\ufffd")))
    with pytest.raises(NoSuchDeadLetterError, match=r"no dead letter 99; .* dead-letters list"):
        await read_letter(session, 99)
    with pytest.raises(NoSuchDeadLetterError, match="no dead letter 98, 99;"):
        await require_letters(session, [99, letter_id, 98])
    with pytest.raises(NoSuchDeadLetterError, match="and 5 more;"):
        await require_letters(session, range(100, 115))


async def test_the_admin_needs_no_other_right(database: DatabaseSettings, session: Session) -> None:
    """The whole way: rows of each table, duplicates through temporary tables, refused rows, marks."""
    records = [record(one, offset=index) for index, one in enumerate([*lifecycle(), *lifecycle()])]
    await session.execute("ALTER TABLE tool_usage ADD CONSTRAINT c CHECK (tool <> 'bad')")
    records += [record(event(TOOL_USED, {"tool": "bad"}), offset=20), *forever_bad(21)]
    await set_aside(session, records, now=LONG_AGO)
    await write_live(session, records[:3])
    async with await connect(await as_role(database, ADMIN)) as admin:
        assert numbers(await retry(admin, attempts_max=1)) == (7, 3, 2, 2)
        letter_id = (await list_letters(admin, EVERYTHING))[0].id
        assert (await read_letter(admin, letter_id))[1].value == b"{"
        assert await discard_letters(admin, EVERYTHING, by="admin@here") == 2


@pytest.mark.parametrize("role", [READER, WRITER])
async def test_others_may_not_try_or_discard(database: DatabaseSettings, session: Session, role: str) -> None:
    (letter_id,) = await set_aside(session, uses(0), now=LONG_AGO)
    before = await marks(session, "*")
    async with await connect(await as_role(database, role)) as other:
        if role == READER:
            assert len(await list_letters(other, EVERYTHING)) == 1
            assert (await count_letters(other, EVERYTHING))[0].open == 1
            with pytest.raises(
                DeadLetterPrivilegeError, match=f"{role} may not read what dead letters hold; use a login"
            ):
                await read_letter(other, letter_id)
        for attempt in (retry(other), discard_letters(other, EVERYTHING, by="x")):
            with pytest.raises(DeadLetterPrivilegeError, match=f"{role} may not change dead letters; .*arc_eval_admin"):
                await attempt
    assert (await marks(session, "*"), await stored(session)) == (before, 0)


async def test_details_are_bounded(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    await session.execute("ALTER TABLE tool_usage ADD CONSTRAINT c CHECK (tool <> 'bad')")
    await set_aside(session, [record(event(TOOL_USED, {"tool": "bad"}), offset=0)])
    monkeypatch.setattr(dead_letter_retry, "_DETAIL_BYTES_MAX", 60)
    await retry(session)
    assert await session.fetch_value("SELECT octet_length(last_detail) FROM dead_letters") <= 60


@pytest.mark.parametrize("wrong", [{"attempts_max": 0}, {"batch_letters_max": 0}])
def test_options_are_checked(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        RetryOptions(by="x", **wrong)  # type: ignore[arg-type]
