"""The recorder: every record is written once, reported as refused, or given back, whatever happens to the database."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from arc_eval_db.breaker import BreakerState, CircuitBreaker
from arc_eval_db.database import DatabaseSettings, SchemaMismatchError, Session
from arc_eval_db.errors import FatalError, SettingsError
from arc_eval_db.recorder import (
    RECORDER_METRICS,
    BatchExecutionRecorder,
    FlushReport,
    RecorderClosedError,
    RecorderFullError,
    RefusedRecord,
    UnwrittenRecordsError,
    queue,
)
from arc_eval_db.recorder.queue import QueuedRecord
from arc_eval_db.records import (
    DEFAULT_SOURCE,
    Envelope,
    ExecutionReference,
    ExecutionStart,
    Failure,
    Outcome,
    Record,
    ToolUse,
    event_of,
    plain_data_of,
)
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.refusals import EventRefusedError
from arc_eval_db.schemas.status import ExecutionStatus
from arc_eval_db.writer import BatchWriter, LoggedEvent, event_row
from support.conditions import eventually
from support.databases import connect
from support.proxy import TcpProxy
from support.servers import free_port

pytestmark = pytest.mark.database

CONFIGURATION = {"name": "careful", "model": "m1"}
NEVER_S = 3600.0
REFUSED_SCORE = 666.0
MARKER = "what-nobody-may-log"
CENTRAL = timezone(timedelta(hours=-6))


def execution() -> ExecutionReference:
    return ExecutionReference(
        ids.uuid7(),
        ids.configuration_version_id(CONFIGURATION),
        ids.scenario_id("refund-flow"),
        ids.simulation_id("nightly"),
    )


def outcome(score: float = 0.5) -> Outcome:
    return Outcome(execution(), "succeeded", score=score, error_message=MARKER)


def quick_breaker() -> CircuitBreaker:
    return CircuitBreaker(open_s=0.01, open_s_max=0.1)


def recorder_of(settings: DatabaseSettings, **options: Any) -> BatchExecutionRecorder:
    return BatchExecutionRecorder(settings, **{"flush_interval_s": NEVER_S, "breaker": quick_breaker(), **options})


async def count(session: Session, table: str = "outcomes") -> int:
    return int(await session.fetch_value(f"SELECT count(*) FROM {table}"))


async def refuse_score(session: Session) -> None:
    await session.execute(f"ALTER TABLE outcomes ADD CONSTRAINT no_such_score CHECK (score <> {REFUSED_SCORE})")


@pytest.fixture
async def proxy(database: DatabaseSettings) -> AsyncIterator[TcpProxy]:
    async with TcpProxy.to_url(database.database_url.get_secret_value()) as opened:
        yield opened


@pytest.fixture
def proxied(proxy: TcpProxy) -> DatabaseSettings:
    """The database through the proxy, which gives up soon."""
    return DatabaseSettings.load(
        database_url=proxy.url,
        database_connect_timeout_s=2,
        database_command_timeout_s=2,
        database_lock_timeout_ms=500,
    )


async def test_records_of_every_kind_become_rows(database: DatabaseSettings, session: Session) -> None:
    reports: list[FlushReport] = []
    it = execution()
    async with recorder_of(database, on_report=reports.append) as recorder:
        await recorder.record(ExecutionStart("refund-flow", CONFIGURATION, "nightly", execution_id=it.execution_id))
        await recorder.record(ToolUse(it, "lookup_order", success=True, arguments={"order_id": 7}))
        recorder.record_nowait(Failure(it, "policy_violation", "refunded order 7 without approval"))
        assert await recorder.record_many([Outcome(it, "succeeded", score=0.5)]) == []
        assert recorder.stats().waiting == 4
        assert await recorder.flush()
        for table in ("execution_events", "tool_usage", "failures", "outcomes", "executions"):
            assert await count(session, table) == 1, table
    stats = recorder.stats()
    assert (stats.recorded, stats.inserted, stats.duplicates, stats.waiting, stats.flushes) == (4, 4, 0, 0, 1)
    assert [(one.records, one.inserted, one.refused) for one in reports] == [(4, 4, ())]
    value = recorder.metrics.value
    for kind in ("execution_start", "tool_use", "failure", "outcome"):
        assert value("arc_eval_recorder_records_total", kind=kind) == 1
    assert value("arc_eval_recorder_inserted_total") == value("arc_eval_recorder_flush_records") == 4
    assert value("arc_eval_recorder_flush_seconds_count") == 1


async def test_the_same_ids_again_are_counted_as_duplicates(database: DatabaseSettings, session: Session) -> None:
    async with recorder_of(database) as recorder:
        recorder.record_nowait(outcome())
        (with_ids,) = recorder.unwritten
        await recorder.flush()
        await recorder.record_many([with_ids, with_ids, outcome()])
        await recorder.flush()
        stats = recorder.stats()
    assert (stats.inserted, stats.duplicates) == (2, 2)
    assert recorder.metrics.value("arc_eval_recorder_duplicates_total") == 2
    assert await count(session) == 2


async def test_a_record_that_does_not_fit_is_refused_at_once(database: DatabaseSettings) -> None:
    async with recorder_of(database) as recorder:
        with pytest.raises(EventRefusedError, match=r"data\.status: "):
            await recorder.record(Outcome(execution(), "fine"))
        bad = Outcome(execution(), "failed", score=float("nan"))
        refused = await recorder.record_many([outcome(), bad, outcome()])
        assert [(one.index, one.record) for one in refused] == [(1, bad)]
        assert "data.score" in str(refused[0].error)
        stats = recorder.stats()
        assert (stats.recorded, dict(stats.refused)) == (2, {"invalid_data": 2})
    assert recorder.metrics.value("arc_eval_recorder_refused_total", reason="invalid_data") == 2


async def test_a_flush_begins_with_the_hundredth_record(database: DatabaseSettings, session: Session) -> None:
    async with recorder_of(database) as recorder:
        await recorder.record_many([outcome() for _ in range(99)])
        # The task has had its turn and waits: what it waits for is not there.
        await asyncio.sleep(0)
        assert recorder.stats().flushes == 0
        await recorder.record(outcome())
        await eventually(lambda: recorder.stats().inserted == 100, "the flush")
    assert recorder.stats().flushes == 1


async def test_a_flush_begins_when_the_oldest_has_waited(database: DatabaseSettings) -> None:
    async with recorder_of(database, flush_interval_s=0.05) as recorder:
        await recorder.record(outcome())
        await eventually(lambda: recorder.stats().inserted == 1, "the first flush")
        await recorder.record(outcome())
        await eventually(lambda: recorder.stats().inserted == 2, "the second flush")


async def test_a_flush_takes_everything_up_to_a_batch(database: DatabaseSettings) -> None:
    reports: list[FlushReport] = []
    async with recorder_of(database, flush_records=10, batch_records_max=20, on_report=reports.append) as recorder:
        for _ in range(50):
            recorder.record_nowait(outcome())
    assert [report.records for report in reports] == [20, 20, 10]


async def test_refused_records_are_reported_each_and_the_others_kept(
    database: DatabaseSettings, session: Session
) -> None:
    await refuse_score(session)
    reports: list[FlushReport] = []
    given_records = [outcome(REFUSED_SCORE if number in (3, 7) else 0.5) for number in range(10)]
    with capture_logs() as logs:
        async with recorder_of(database, on_report=reports.append) as recorder:
            await recorder.record_many(given_records)
            await recorder.flush()
    (report,) = reports
    assert (report.records, report.inserted, report.duplicates) == (10, 8, 0)
    assert [one.index for one in report.refused] == [3, 7]
    for one in report.refused:
        assert isinstance(one.record, Outcome)
        assert one.record.execution == given_records[one.index].execution
        assert one.record.envelope.event_id is not None
    assert dict(recorder.stats().refused) == {"refused_by_database": 2}
    assert recorder.metrics.value("arc_eval_recorder_refused_total", reason="refused_by_database") == 2
    assert await count(session) == await count(session, "executions") == 8
    (warning,) = [one for one in logs if one["event"] == "records_refused"]
    assert (warning["records"], warning["sqlstates"]) == (2, {"23514": 2})
    assert MARKER not in str(logs)


async def test_a_report_function_that_fails_stops_nothing(database: DatabaseSettings, session: Session) -> None:
    def fail(report: FlushReport) -> None:
        raise ZeroDivisionError

    with capture_logs() as logs:
        async with recorder_of(database, on_report=fail) as recorder:
            await recorder.record(outcome())
            await recorder.flush()
            await recorder.record(outcome())
    assert await count(session) == 2
    assert [one["event"] for one in logs].count("report_failed") == 2


async def test_a_full_queue_makes_the_caller_wait_and_then_says_so(
    proxied: DatabaseSettings, proxy: TcpProxy, session: Session
) -> None:
    proxy.stall()
    async with recorder_of(proxied, flush_records=1, queue_records_max=2, enqueue_timeout_s=0.05) as recorder:
        await recorder.record_many([outcome(), outcome()])
        with pytest.raises(RecorderFullError, match=r"0\.05 s"):
            await recorder.record(outcome())
        with pytest.raises(RecorderFullError):
            recorder.record_nowait(outcome())
        with pytest.raises(RecorderFullError) as caught:
            await recorder.record_many([Outcome(execution(), "fine"), outcome(), outcome()])
        assert (caught.value.taken, [one.index for one in caught.value.refused]) == (1, [0])
        assert recorder.stats().waiting == recorder.stats().recorded == 2
        proxy.resume()
        await eventually(lambda: recorder.stats().waiting == 0, "room")
        await recorder.record(outcome())
    assert await count(session) == 3


async def test_whoever_waits_for_room_gets_it(proxied: DatabaseSettings, proxy: TcpProxy, session: Session) -> None:
    proxy.stall()
    async with recorder_of(proxied, flush_records=1, queue_records_max=1) as recorder:
        await recorder.record(outcome())
        waiting = [asyncio.create_task(recorder.record(outcome())) for _ in range(5)]
        cancelled = waiting.pop()
        await eventually(proxy.stalled_bytes.is_set, "the database is silent")
        assert recorder.stats().recorded == 1
        cancelled.cancel()
        await asyncio.wait({cancelled})
        proxy.resume()
        await asyncio.gather(*waiting)
    assert recorder.stats().recorded == 5, "a cancelled call has queued nothing"
    assert await count(session) == 5


async def test_a_lost_connection_is_replaced_and_nothing_written_twice(
    proxied: DatabaseSettings, proxy: TcpProxy, session: Session
) -> None:
    async with recorder_of(proxied, flush_records=5) as recorder:
        for _ in range(6):
            await recorder.record_many([outcome() for _ in range(5)])
            proxy.cut()
            await recorder.record_many([outcome() for _ in range(5)])
            assert await recorder.flush(), "written in spite of it"
    assert await count(session) == 60
    stats = recorder.stats()
    assert stats.inserted + stats.duplicates == stats.recorded == 60
    assert stats.retries > 0
    assert stats.breaker is BreakerState.CLOSED
    assert recorder.metrics.value("arc_eval_recorder_retries_total", cause="DatabaseUnavailableError") == stats.retries
    assert recorder.metrics.value("arc_eval_recorder_breaker_state") == 0


async def test_a_silent_database_is_given_up_and_asked_again(
    proxied: DatabaseSettings, proxy: TcpProxy, session: Session
) -> None:
    settings = proxied.model_copy(update={"database_command_timeout_s": 0.3})
    async with recorder_of(settings, flush_records=1) as recorder:
        await recorder.record(outcome())
        await eventually(lambda: recorder.stats().inserted == 1, "the connection works")
        proxy.stall()
        await recorder.record(outcome())
        await eventually(lambda: recorder.stats().retries > 0, "the time-out")
        proxy.cut()
        proxy.resume()
        assert await recorder.flush()
    assert await count(session) == 2


AT_COMMIT = """
CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON executions DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION at_commit();
"""


async def test_a_connection_lost_during_the_commit_costs_no_second_row(
    proxied: DatabaseSettings, proxy: TcpProxy, database: DatabaseSettings, session: Session
) -> None:
    """The commit happens, and the recorder does not hear of it."""
    await session.execute(AT_COMMIT.format(body="PERFORM pg_advisory_xact_lock(7);"))
    async with await connect(database) as holder, recorder_of(proxied, flush_records=3) as recorder:
        await holder.execute("SELECT pg_advisory_lock(7)")
        await recorder.record_many([outcome() for _ in range(3)])

        async def is_committing() -> bool:
            return bool(
                await session.fetch_value(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND wait_event = 'advisory' AND query LIKE 'COMMIT%'"
                )
            )

        await eventually(is_committing, "the commit has begun")
        proxy.stall()
        await holder.execute("SELECT pg_advisory_unlock(7)")

        async def is_committed() -> bool:
            return await count(session) == 3

        await eventually(is_committed, "the commit is done")
        assert recorder.stats().waiting == 3
        proxy.cut()
        proxy.resume()
        assert await recorder.flush()
    stats = recorder.stats()
    assert (stats.inserted, stats.duplicates, stats.retries) == (0, 3, 1)
    assert await count(session) == await count(session, "executions") == 3


async def test_a_lock_is_waited_for_and_tried_again(
    proxied: DatabaseSettings, database: DatabaseSettings, session: Session
) -> None:
    settings = proxied.model_copy(update={"database_lock_timeout_ms": 50})
    async with await connect(database) as holder, recorder_of(settings, flush_records=1) as recorder:
        async with holder.transaction():
            await holder.execute("LOCK TABLE outcomes IN ACCESS EXCLUSIVE MODE")
            await recorder.record(outcome())
            await eventually(lambda: recorder.stats().retries >= 2, "the lock time-out, twice")
        assert await recorder.flush()
        assert recorder.metrics.value("arc_eval_recorder_retries_total", cause="TransactionConflictError") >= 2
        assert recorder.stats().breaker is BreakerState.CLOSED
    assert await count(session) == 1


async def test_a_batch_that_is_too_large_is_halved(database: DatabaseSettings, session: Session) -> None:
    await session.execute(
        "CREATE FUNCTION too_large() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF (SELECT count(*) FROM added) > 3 THEN RAISE EXCEPTION 'out of memory' USING ERRCODE = '53200'; END IF;"
        " RETURN NULL; END $$;"
        "CREATE TRIGGER too_large AFTER INSERT ON executions REFERENCING NEW TABLE AS added"
        " FOR EACH STATEMENT EXECUTE FUNCTION too_large()"
    )
    reports: list[FlushReport] = []
    async with recorder_of(database, on_report=reports.append) as recorder:
        await recorder.record_many([outcome() for _ in range(8)])
        assert await recorder.flush()
    assert await count(session) == 8
    assert max(report.records for report in reports) <= 3
    assert recorder.metrics.value("arc_eval_recorder_retries_total", cause="BatchTooLargeError") >= 2


async def test_a_row_that_is_refused_as_late_as_the_commit_is_found(
    database: DatabaseSettings, session: Session
) -> None:
    bad = execution()
    await session.execute(
        AT_COMMIT.format(
            body=f"IF NEW.id = '{bad.execution_id}' THEN RAISE EXCEPTION 'no' USING ERRCODE = '23514'; END IF;"
        )
    )
    reports: list[FlushReport] = []
    async with recorder_of(database, on_report=reports.append) as recorder:
        await recorder.record_many([outcome(), outcome(), Outcome(bad, "failed"), outcome(), outcome()])
        assert await recorder.flush()
    assert await count(session) == 4
    refused = [one for report in reports for one in report.refused]
    assert [(one.record.execution, one.error.sqlstate) for one in refused if isinstance(one, RefusedRecord)] == [  # type: ignore[union-attr]  # an outcome, refused by the database
        (bad, "23514")
    ]


async def test_a_wrong_schema_stops_the_recorder_and_loses_nothing(
    database: DatabaseSettings, session: Session
) -> None:
    await session.execute("ALTER TABLE outcomes RENAME TO elsewhere")
    recorder = recorder_of(database, flush_records=1)
    with pytest.raises(UnwrittenRecordsError) as caught:
        async with recorder:
            await recorder.record(outcome())
            with pytest.raises(SchemaMismatchError):
                await recorder.flush()
            with pytest.raises(SchemaMismatchError):
                await recorder.record(outcome())
            with pytest.raises(SchemaMismatchError):
                recorder.record_nowait(outcome())
    assert isinstance(caught.value.__cause__, SchemaMismatchError)
    assert len(caught.value.records) == 1
    with pytest.raises(SchemaMismatchError):
        await recorder.close()
    await session.execute("ALTER TABLE elsewhere RENAME TO outcomes")
    async with recorder_of(database) as second:
        assert await second.record_many(caught.value.records) == []
    assert await count(session) == 1


async def test_whoever_waits_for_room_hears_that_the_recorder_stopped(
    proxied: DatabaseSettings, proxy: TcpProxy, session: Session
) -> None:
    await session.execute("ALTER TABLE outcomes RENAME TO elsewhere")
    proxy.stall()
    recorder = recorder_of(proxied, flush_records=1, queue_records_max=1)
    with pytest.raises(UnwrittenRecordsError):
        async with recorder:
            await recorder.record(outcome())
            waiting = asyncio.create_task(recorder.record(outcome()))
            await eventually(proxy.stalled_bytes.is_set, "the database is silent")
            proxy.resume()
            with pytest.raises(SchemaMismatchError):
                await waiting


async def test_what_is_not_written_in_time_is_given_back(
    proxied: DatabaseSettings, proxy: TcpProxy, database: DatabaseSettings, session: Session
) -> None:
    proxy.stall()
    mixed: list[Record] = [ExecutionStart("refund-flow", CONFIGURATION), outcome(), Failure(execution(), "k", "m")]
    async with recorder_of(proxied) as recorder:
        await recorder.record_many(mixed)
        assert not await recorder.flush(timeout_s=0.05)
        waiting = recorder.unwritten
        with pytest.raises(UnwrittenRecordsError) as caught:
            async with recorder_of(proxied, close_timeout_s=0.1) as other:
                await other.record_many(waiting)
        report = await recorder.close(timeout_s=0.1)
    assert report.unwritten == waiting == caught.value.records
    assert report.stats.waiting == 3
    assert isinstance(waiting[0], ExecutionStart)
    assert waiting[0].execution_id is not None
    assert all(record.envelope.event_id is not None for record in waiting)
    proxy.resume()
    async with recorder_of(database) as second:
        await second.record_many([*report.unwritten, *caught.value.records])
    assert (second.stats().inserted, second.stats().duplicates) == (3, 3)
    assert await count(session) == 1


async def test_another_error_on_its_way_is_not_hidden(proxied: DatabaseSettings, proxy: TcpProxy) -> None:
    proxy.stall()
    recorder = recorder_of(proxied, close_timeout_s=0.05)
    with capture_logs() as logs, pytest.raises(ZeroDivisionError):
        async with recorder:
            await recorder.record(outcome())
            raise ZeroDivisionError
    assert {"event": "records_unwritten", "records": 1, "log_level": "error"} in logs
    assert len(recorder.unwritten) == 1


async def test_a_cancelled_close_ends_the_flush_and_keeps_the_records(
    proxied: DatabaseSettings, proxy: TcpProxy
) -> None:
    recorder = recorder_of(proxied, flush_records=1)
    await recorder.__aenter__()
    proxy.stall()
    await recorder.record(outcome())
    await eventually(proxy.stalled_bytes.is_set, "the flush is under way")
    closing = asyncio.create_task(recorder.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait({closing})
    assert closing.cancelled()
    report = await recorder.close(timeout_s=5)
    assert len(report.unwritten) == 1


async def test_a_database_that_is_away_is_not_asked_all_the_time() -> None:
    settings = DatabaseSettings.load(database_url=f"postgresql://nobody:secret@127.0.0.1:{free_port()}/none")
    breaker = CircuitBreaker(failures_max=1, open_s=60, open_s_max=60)
    with capture_logs() as logs:
        recorder = recorder_of(settings, flush_records=1, breaker=breaker)
        await recorder.__aenter__()
        await recorder.record(outcome())
        await eventually(lambda: recorder.stats().breaker is BreakerState.OPEN, "the breaker opens")
        report = await recorder.close(timeout_s=0.2)
    assert (len(report.unwritten), report.stats.retries) == (1, 1)
    assert recorder.metrics.value("arc_eval_recorder_breaker_state") == 2
    (failed,) = [one for one in logs if one["event"] == "flush_failed"]
    assert (failed["cause"], failed["waiting"]) == ("DatabaseUnavailableError", 1)
    assert failed["retry_in_s"] >= 30
    assert "secret" not in str(logs)


async def test_a_breaker_shared_with_others_keeps_the_recorder_waiting(
    database: DatabaseSettings, session: Session
) -> None:
    breaker = CircuitBreaker(open_s=0.2, open_s_max=0.2)
    breaker.failed(lost_connection=True)
    async with recorder_of(database, flush_records=1, breaker=breaker) as recorder:
        await recorder.record(outcome())
        assert await recorder.flush()
    assert breaker.state is BreakerState.CLOSED
    assert await count(session) == 1


async def test_a_recorder_is_used_inside_its_block(database: DatabaseSettings) -> None:
    recorder = recorder_of(database)
    calls: list[Callable[[], Any]] = [lambda: recorder.record(outcome()), recorder.flush]
    for call in calls:
        with pytest.raises(RecorderClosedError):
            await call()
    async with recorder:
        with pytest.raises(RecorderClosedError):
            await recorder.__aenter__()
    for call in calls:
        with pytest.raises(RecorderClosedError):
            await call()
    first, second = await recorder.close(), await recorder.close()
    assert first == second
    assert first.unwritten == ()
    never_opened = recorder_of(database)
    assert (await never_opened.close()).unwritten == ()


async def test_a_refused_login_stops_the_recorder(database: DatabaseSettings) -> None:
    recorder = recorder_of(database.with_database("no_such_database"), flush_records=1)
    with pytest.raises(UnwrittenRecordsError) as caught:
        async with recorder:
            await recorder.record(outcome())
    assert isinstance(caught.value.__cause__, SchemaMismatchError)


async def test_a_stopped_recorder_with_nothing_left_says_why(database: DatabaseSettings) -> None:
    recorder = recorder_of(database.with_database("no_such_database"), flush_records=1)
    with pytest.raises(SchemaMismatchError):
        async with recorder:
            await recorder.record(outcome())
            with contextlib.suppress(SchemaMismatchError):
                await recorder.flush()
            recorder._queue.remove_first(1)  # somebody took it elsewhere


@pytest.mark.parametrize(
    "options",
    [
        {"flush_records": 0},
        {"flush_records": 10, "queue_records_max": 9},
        {"batch_records_max": 0},
        {"flush_interval_s": 0},
        {"enqueue_timeout_s": -1},
        {"close_timeout_s": -1},
    ],
)
def test_limits_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    settings = DatabaseSettings.load(database_url="postgresql://localhost/none")
    with pytest.raises(ValueError, match="must be"):
        recorder_of(settings, **options)


def test_without_settings_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="ARC_EVAL_DATABASE_URL is not set"):
        BatchExecutionRecorder()
    monkeypatch.setenv("ARC_EVAL_DATABASE_URL", "postgresql://localhost/none")
    assert BatchExecutionRecorder().stats().recorded == 0


ODD_VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 2**65),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["a" * 201, "b" * 40_000, 'q"uote', "nul\x00", "\ud800", "succeeded", {}, {"a": [1]}, ids.uuid7()]),
    st.sampled_from([*ExecutionStatus, Decimal(1), b"raw", object()]),
)


@given(
    kind=st.sampled_from([Outcome, ToolUse, Failure]),
    changed=st.dictionaries(
        st.sampled_from(
            ["status", "score", "input_tokens", "error_kind", "tool", "success", "error", "kind", "message"]
        ),
        ODD_VALUES,
        max_size=3,
    ),
    times=st.one_of(
        st.none(),
        st.datetimes(datetime(2019, 12, 31), datetime(2030, 1, 1), timezones=st.sampled_from([UTC, CENTRAL, None])),  # noqa: DTZ001 - bounds
    ),
    simulation=st.sampled_from([None, ids.simulation_id("nightly"), ids.uuid7()]),
    source=st.sampled_from([DEFAULT_SOURCE, DEFAULT_SOURCE, "/scripts/import", "", "two words"]),
)
def test_values_checked_as_they_are_give_what_the_parser_gives(
    kind: Any, changed: dict[str, Any], times: datetime | None, simulation: UUID | None, source: str
) -> None:
    """The short way of the checks may be taken only where it makes no difference."""
    fields: dict[Any, dict[str, Any]] = {
        Outcome: {"status": "succeeded", "score": 1, "input_tokens": 7},
        ToolUse: {"tool": "lookup", "success": True},
        Failure: {"kind": "policy", "message": "refunded"},
    }
    known = {name: value for name, value in changed.items() if name in kind.__slots__}
    it = dataclasses.replace(execution(), simulation_id=simulation)
    envelope = Envelope(event_id=ids.uuid7(), time=times, source=source)
    record = kind(it, **{**fields[kind], **known}, envelope=envelope)

    def refusal() -> tuple[str, str] | None:
        try:
            event_of(record)
        except EventRefusedError as error:
            return error.reason.value, error.detail
        return None

    plain = plain_data_of(record)
    if plain is None:
        return
    assert refusal() is None
    parsed = event_row(LoggedEvent(event_of(record)))
    assert QueuedRecord.of(record).row == parsed
    assert (plain[0], str(plain[1])) == parsed.row[:2]


async def test_an_error_of_our_own_gives_the_records_back(
    database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise TypeError("a bug")

    monkeypatch.setattr(BatchWriter, "write_rows", broken)
    with pytest.raises(UnwrittenRecordsError) as caught:
        async with recorder_of(database, flush_records=1) as recorder:
            await recorder.record(Outcome(execution(), "succeeded"))
    assert len(caught.value.records) == 1
    assert isinstance(caught.value.__cause__, FatalError)
    assert "TypeError" in str(caught.value.__cause__)


async def test_what_comes_during_a_flush_waits_for_its_own_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a queue that is never empty would be written record by record, once the interval has passed."""
    now = 0.0
    monkeypatch.setattr(queue, "time", SimpleNamespace(monotonic=lambda: now))
    waiting = queue.RecordQueue(records_max=1000, flush_records=100, flush_interval_s=30)
    item = QueuedRecord.of(Outcome(execution(), "succeeded"))
    for _ in range(3):
        waiting.put(item)
    now = 30.0
    assert await waiting.due()
    assert len(waiting.first(100)) == 3
    now = 30.5
    waiting.put(item)
    waiting.remove_first(3)
    now = 59.9
    assert not waiting._is_due()
    now = 60.0
    assert waiting._is_due()


def test_an_ordinary_record_goes_the_short_way() -> None:
    it = execution()
    assert plain_data_of(Outcome(it, "succeeded", score=0.5, error_message="fine: été")) is not None
    assert plain_data_of(ToolUse(it, "lookup", success=False, error="no such order")) is not None
    assert plain_data_of(Failure(it, "policy", "refunded")) is not None


def test_each_metric_is_explained() -> None:
    assert len({metric.name for metric in RECORDER_METRICS}) == len(RECORDER_METRICS)
    assert all(metric.help.endswith(".") for metric in RECORDER_METRICS)
