"""The client: what is recorded can be read back, once, whatever the network does; and every call ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID

import pytest
import structlog
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from arc_eval_db.client import CLIENT_METRICS, RECORDS_MAX, ArcEvalDBClient, ClientMetrics, Operation
from arc_eval_db.database import (
    DatabaseSettings,
    DatabaseUnavailableError,
    PoolClosedError,
    RowRefusedError,
    Session,
    TransactionConflictError,
)
from arc_eval_db.errors import SettingsError
from arc_eval_db.operations import ClientMetricName
from arc_eval_db.records import Envelope, ExecutionReference, ExecutionStart, Failure, Outcome, ToolUse
from arc_eval_db.results import RecordReport
from arc_eval_db.retries import DeadlineExceededError, RetryPolicy
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.refusals import EventRefusedError, RefusalReason
from arc_eval_db.schemas.status import ExecutionStatus
from arc_eval_db.schemas.topics import STARTED
from support.conditions import eventually
from support.databases import connect
from support.proxy import TcpProxy

pytestmark = pytest.mark.database

CONFIGURATION = {"name": "careful", "model": "m1", "tools": ["a", {"b": None}]}
QUICK = RetryPolicy(attempts_max=5, deadline_s=20, backoff_s_min=0, backoff_s_max=0)
MARKER = "S3CRET"


@pytest.fixture
def small(database: DatabaseSettings) -> DatabaseSettings:
    return database.model_copy(update={"database_pool_size_min": 1, "database_pool_size_max": 2})


@pytest.fixture
async def client(small: DatabaseSettings) -> AsyncIterator[ArcEvalDBClient]:
    async with ArcEvalDBClient(small, retries=QUICK) as opened:
        yield opened


@pytest.fixture
async def execution(client: ArcEvalDBClient) -> ExecutionReference:
    return await client.record_execution_start(ExecutionStart("refund-flow", CONFIGURATION, "nightly"))


def through(settings: DatabaseSettings, proxy: TcpProxy, **changes: Any) -> DatabaseSettings:
    return settings.model_copy(update={"database_url": SecretStr(proxy.url), **changes})


def proxy_to(settings: DatabaseSettings) -> TcpProxy:
    return TcpProxy.to_url(settings.database_url.get_secret_value())


async def count(session: Session, table: str) -> int:
    return int(await session.fetch_value(f"SELECT count(*) FROM {table}"))


async def test_what_is_recorded_is_read_back(client: ArcEvalDBClient) -> None:
    start = ExecutionStart("refund-flow", CONFIGURATION, "nightly", attempt=2, metadata={"seed": [7, None]})
    execution = await client.record_execution_start(start)
    report = await client.record_tool_usage(
        [
            ToolUse(execution, "lookup", success=True, duration_ms=1.5, arguments={"order": {"id": 7}}),
            ToolUse(execution, "refund", success=False, error="no right", result_bytes=12),
        ]
    )
    pattern_id = await client.record_failure_pattern(Failure(execution, "policy", "refunded order 1", {"a": [1]}))
    assert await client.record_execution_outcome(
        Outcome(execution, "failed", score=0.25, cost_usd=0.5, input_tokens=12, metadata={"judge": {"by": "rule"}})
    )
    assert report == RecordReport(2, 0)

    stored = await client.get_execution(execution.execution_id)
    assert stored is not None
    assert (stored.configuration, stored.scenario, stored.simulation) == ("careful", "refund-flow", "nightly")
    assert (stored.attempt, stored.source, stored.metadata) == (2, "/clients/arc-eval-db", {"seed": [7, None]})
    assert stored.started_at is not None
    assert stored.outcome is not None
    assert stored.outcome.time == stored.ended_at
    assert (stored.outcome.status, stored.outcome.success) == (ExecutionStatus.FAILED, False)
    assert (stored.outcome.score, stored.outcome.cost_usd, stored.outcome.input_tokens) == (0.25, 0.5, 12)
    assert stored.outcome.metadata == {"judge": {"by": "rule"}}
    (event,) = stored.events
    assert (event.type, event.time) == (STARTED, stored.started_at)
    assert event.data["scenario"] == "refund-flow"
    assert [(use.tool, use.success, use.error) for use in stored.tool_usage] == [
        ("lookup", True, None),
        ("refund", False, "no right"),
    ]
    assert stored.tool_usage[0].arguments == {"order": {"id": 7}}
    (failure,) = stored.failures
    assert (failure.kind, failure.details, failure.pattern_id) == ("policy", {"a": [1]}, pattern_id)
    assert not stored.is_truncated
    assert await client.reference_to(execution.execution_id) == execution


async def test_a_program_says_who_it_is(small: DatabaseSettings, session: Session) -> None:
    async with ArcEvalDBClient(small, source="/scripts/import", application_name="the importer") as client:
        first = await client.record_execution_start(ExecutionStart("s", CONFIGURATION))
        second = await client.record_execution_start(
            ExecutionStart("s", CONFIGURATION, envelope=Envelope(source="/elsewhere"))
        )
        names = await session.fetch("SELECT DISTINCT application_name FROM pg_stat_activity")
        assert "the importer" in [row["application_name"] for row in names]
        stored = [await client.get_execution(reference.execution_id) for reference in (first, second)]
    assert [execution and execution.source for execution in stored] == ["/scripts/import", "/elsewhere"]


async def test_the_same_id_is_the_same_record(
    client: ArcEvalDBClient, execution: ExecutionReference, session: Session
) -> None:
    start = ExecutionStart("other", CONFIGURATION, envelope=Envelope(event_id=ids.uuid7()))
    references = [await client.record_execution_start(start) for _ in range(2)]
    assert references[0] == references[1]
    outcome = Outcome(execution, "succeeded", envelope=Envelope(event_id=ids.uuid7()))
    assert [await client.record_execution_outcome(outcome) for _ in range(2)] == [True, False]
    uses = [ToolUse(execution, "lookup", success=True, envelope=Envelope(event_id=ids.uuid7()))]
    reports = [await client.record_tool_usage(uses) for _ in range(2)]
    assert reports == [RecordReport(1, 0), RecordReport(0, 1)]
    failure = Failure(execution, "policy", "m", envelope=Envelope(event_id=ids.uuid7()))
    patterns = {await client.record_failure_pattern(failure) for _ in range(2)}
    assert len(patterns) == 1
    expected = {"executions": 2, "execution_events": 2, "outcomes": 1, "tool_usage": 1, "failures": 1}
    assert {table: await count(session, table) for table in expected} == expected
    assert client.metrics.value("arc_eval_client_records_total", result="inserted") == 5
    assert client.metrics.value("arc_eval_client_records_total", result="duplicate") == 4


async def test_failures_that_differ_in_details_share_a_pattern(
    client: ArcEvalDBClient, execution: ExecutionReference, session: Session
) -> None:
    messages = ("order 12 not found", "order 99 not found", "no such order")
    patterns = [await client.record_failure_pattern(Failure(execution, "lookup", message)) for message in messages]
    assert patterns[0] == patterns[1] != patterns[2]
    stored = await session.fetch("SELECT id FROM failure_patterns")
    assert {row["id"] for row in stored} == set(patterns)


async def test_bad_input_is_refused_before_anything_is_sent(small: DatabaseSettings, session: Session) -> None:
    finished: list[Operation] = []
    async with ArcEvalDBClient(small, on_operation=finished.append) as client:
        reference = ExecutionReference(ids.uuid7(), ids.configuration_version_id({}), ids.scenario_id("s"))
        calls: list[Awaitable[object]] = [
            client.record_execution_start(ExecutionStart("", CONFIGURATION)),
            client.record_execution_outcome(Outcome(reference, "fine")),
            client.record_failure_pattern(Failure(reference, "k" * 201, "m")),
        ]
        for call in calls:
            with pytest.raises(EventRefusedError) as caught:
                await call
            assert caught.value.reason is RefusalReason.INVALID_DATA
        assert client.metrics.value(
            "arc_eval_client_operations_total", operation="record_execution_outcome", result="refused"
        )
    assert [(one.result, one.attempts) for one in finished if one.name != "open"] == [("refused", 0)] * 3
    assert await count(session, "executions") == 0


async def test_what_the_database_refuses_is_raised_and_not_tried_again(
    client: ArcEvalDBClient, execution: ExecutionReference, session: Session
) -> None:
    await session.execute("ALTER TABLE outcomes ADD CONSTRAINT cheap CHECK (cost_usd < 100)")
    with pytest.raises(RowRefusedError):
        await client.record_execution_outcome(Outcome(execution, "succeeded", cost_usd=1000))
    assert await count(session, "outcomes") == 0
    assert client.metrics.value("arc_eval_client_records_total", result="refused") == 1
    assert await client.record_execution_outcome(Outcome(execution, "succeeded", cost_usd=1))


async def test_of_a_list_the_good_are_kept_and_the_others_named(
    client: ArcEvalDBClient, execution: ExecutionReference, session: Session
) -> None:
    await session.execute("ALTER TABLE tool_usage ADD CONSTRAINT known CHECK (tool <> 'bad')")
    twice = Envelope(event_id=ids.uuid7())
    report = await client.record_tool_usage(
        [
            ToolUse(execution, "bad", success=True),
            ToolUse(execution, "good", success=True),
            ToolUse(execution, "x" * 201, success=True),
            ToolUse(execution, "good", success=True, envelope=twice),
            ToolUse(execution, "good", success=True, duration_ms=float("nan")),
            ToolUse(execution, "good", success=True, envelope=twice),
            ToolUse(execution, "bad", success=True),
            ToolUse(execution, "good", success=True),
        ]
    )
    assert (report.inserted, report.duplicates) == (3, 1)
    assert [(one.index, type(one.error)) for one in report.refused] == [
        (0, RowRefusedError),
        (2, EventRefusedError),
        (4, EventRefusedError),
        (6, RowRefusedError),
    ]
    assert await count(session, "tool_usage") == 3
    values = {result: client.metrics.value("arc_eval_client_records_total", result=result) for result in RESULTS}
    assert values == {"inserted": 4, "duplicate": 1, "refused": 4}


RESULTS = ("inserted", "duplicate", "refused")


async def test_a_list_has_a_limit_and_may_be_empty(client: ArcEvalDBClient, execution: ExecutionReference) -> None:
    assert await client.record_tool_usage([]) == RecordReport(0, 0)
    with pytest.raises(ValueError, match="10001 records in one call; at most 10000"):
        await client.record_tool_usage([ToolUse(execution, "t", success=True)] * (RECORDS_MAX + 1))


async def test_a_long_list_lets_other_tasks_run(client: ArcEvalDBClient, execution: ExecutionReference) -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    # Refused by the checks, every one: nothing but the checks takes time.
    report = await client.record_tool_usage([ToolUse(execution, "", success=True)] * 1000)
    counting.cancel()
    assert len(report.refused) == 1000
    assert turns >= 10


@pytest.mark.parametrize("timing", ["INITIALLY DEFERRED", "INITIALLY IMMEDIATE"])
async def test_a_connection_lost_around_the_commit_writes_once(
    small: DatabaseSettings, session: Session, timing: str
) -> None:
    """Deferred: the server commits and the client never hears of it. Immediate: it is lost before the commit."""
    await session.execute(
        "CREATE FUNCTION wait_for_test() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END'"
    )
    await session.execute(
        "CREATE CONSTRAINT TRIGGER waiting AFTER INSERT ON executions"
        f" DEFERRABLE {timing} FOR EACH ROW EXECUTE FUNCTION wait_for_test()"
    )
    await session.execute("SELECT pg_advisory_lock(42)")
    statement = "COMMIT%" if timing == "INITIALLY DEFERRED" else "%INSERT INTO executions%"

    async def is_waiting() -> bool:
        return bool(
            await session.fetch(
                "SELECT FROM pg_stat_activity"
                " WHERE wait_event = 'advisory' AND query LIKE $1 AND datname = current_database()",
                statement,
            )
        )

    reference = ExecutionReference(ids.uuid7(), ids.configuration_version_id({}), ids.scenario_id("s"))
    metrics = ClientMetrics()
    async with (
        proxy_to(small) as proxy,
        ArcEvalDBClient(through(small, proxy), retries=QUICK, metrics=metrics) as client,
    ):
        recording = asyncio.create_task(client.record_tool_usage([ToolUse(reference, "lookup", success=True)]))
        await eventually(is_waiting, "the server is at the statement")
        proxy.cut()
        await eventually(
            lambda: (
                metrics.value(
                    "arc_eval_client_retries_total", operation="record_tool_usage", cause="DatabaseUnavailableError"
                )
                == 1
            ),
            "the client tries again",
        )
        await session.execute("SELECT pg_advisory_unlock(42)")
        report = await recording
    assert report == (RecordReport(0, 1) if timing == "INITIALLY DEFERRED" else RecordReport(1, 0))
    assert await count(session, "tool_usage") == 1
    assert await count(session, "executions") == 1


async def test_whatever_is_cut_each_record_is_there_once(small: DatabaseSettings, session: Session) -> None:
    reference = ExecutionReference(ids.uuid7(), ids.configuration_version_id({}), ids.scenario_id("s"))
    ledger = [[ids.uuid7() for _ in range(20)] for _ in range(60)]
    finished: list[Operation] = []
    async with (
        proxy_to(small) as proxy,
        ArcEvalDBClient(
            through(small, proxy, database_pool_size_max=6),
            retries=RetryPolicy(1000, 60, 0, 0.05),
            on_operation=finished.append,
        ) as client,
    ):

        async def record(event_ids: list[UUID]) -> RecordReport:
            uses = [ToolUse(reference, "t", success=True, envelope=Envelope(event_id=one)) for one in event_ids]
            return await client.record_tool_usage(uses)

        recording = [asyncio.create_task(record(event_ids)) for event_ids in ledger]
        for done in range(1, 50, 4):
            await eventually(lambda done=done: len(finished) > done, "some are recorded")
            proxy.cut()
        reports = await asyncio.gather(*recording)
        assert sum(operation.attempts for operation in finished) > len(finished), "nothing was cut"
    assert all(report.inserted + report.duplicates == 20 and not report.refused for report in reports)
    stored = [row["event_id"] for row in await session.fetch("SELECT event_id FROM tool_usage")]
    assert sorted(stored) == sorted(event_id for event_ids in ledger for event_id in event_ids)


async def test_an_outage_is_outlived_and_told(small: DatabaseSettings) -> None:
    async with proxy_to(small) as proxy, ArcEvalDBClient(through(small, proxy), retries=QUICK) as client:
        await client.get_active_configurations()
        with structlog.testing.capture_logs() as logs:
            proxy.cut()
            execution = await client.record_execution_start(ExecutionStart("s", CONFIGURATION))
        assert await client.reference_to(execution.execution_id) == execution
    for entry in logs:
        assert entry["event"] == "client_operation_retried"
        assert entry["operation"] == "record_execution_start"
        assert entry["cause"] == "DatabaseUnavailableError"
        assert {"attempt", "error", "retry_in_s"} <= entry.keys()


async def test_a_conflict_is_tried_again(
    client: ArcEvalDBClient, execution: ExecutionReference, session: Session, small: DatabaseSettings
) -> None:
    impatient = small.model_copy(update={"database_lock_timeout_ms": 50})
    async with (
        await connect(small) as blocker,
        ArcEvalDBClient(impatient, retries=RetryPolicy(1000, 20, 0, 0)) as other,
    ):
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE outcomes IN ACCESS EXCLUSIVE MODE")
            recording = asyncio.create_task(other.record_execution_outcome(Outcome(execution, "succeeded")))
            await eventually(
                lambda: (
                    other.metrics.value(
                        "arc_eval_client_retries_total",
                        operation="record_execution_outcome",
                        cause="TransactionConflictError",
                    )
                    >= 2
                ),
                "it has tried twice",
            )
        assert await recording
    with pytest.raises(TransactionConflictError):
        async with await connect(small) as blocker, blocker.transaction():
            await blocker.execute("LOCK TABLE outcomes IN ACCESS EXCLUSIVE MODE")
            async with ArcEvalDBClient(impatient, retries=RetryPolicy(2, 20, 0, 0)) as other:
                await other.record_execution_outcome(Outcome(execution, "succeeded"))


async def test_an_unreachable_database_is_given_up_in_the_end(small: DatabaseSettings) -> None:
    nobody = small.model_copy(update={"database_url": SecretStr(f"postgresql://someone:{MARKER}@127.0.0.1:1/x")})
    finished: list[Operation] = []
    client = ArcEvalDBClient(nobody, retries=RetryPolicy(3, 20, 0, 0), on_operation=finished.append)
    with structlog.testing.capture_logs() as logs, pytest.raises(DatabaseUnavailableError):
        await client.open()
    assert [entry["event"] for entry in logs] == ["client_operation_retried"] * 2 + ["client_operation_failed"]
    assert (logs[2]["operation"], logs[2]["attempts"], logs[2]["result"]) == ("open", 3, "failed")
    assert MARKER not in str(logs)
    (operation,) = finished
    assert (operation.name, operation.result, operation.attempts) == ("open", "failed", 3)
    assert isinstance(operation.error, DatabaseUnavailableError)
    await client.close()


async def test_every_call_has_a_deadline(small: DatabaseSettings, execution: ExecutionReference) -> None:
    policy = RetryPolicy(deadline_s=0.5)
    calls: list[Callable[[ArcEvalDBClient], Awaitable[object]]] = [
        lambda client: client.record_execution_start(ExecutionStart("s", CONFIGURATION)),
        lambda client: client.record_execution_outcome(Outcome(execution, "succeeded")),
        lambda client: client.record_failure_pattern(Failure(execution, "k", "m")),
        lambda client: client.record_tool_usage([ToolUse(execution, "t", success=True)]),
        lambda client: client.get_execution(execution.execution_id),
        lambda client: client.reference_to(execution.execution_id),
        lambda client: client.get_outcomes(execution.configuration_version_id, since=datetime.now(UTC)),
        lambda client: client.get_active_configurations(),
        lambda client: client.get_active_simulations(),
    ]
    async with proxy_to(small) as proxy:
        client = ArcEvalDBClient(through(small, proxy), retries=policy)
        await client.open()
        proxy.stall()
        async with asyncio.timeout(20):
            for call in calls:
                with pytest.raises(DeadlineExceededError, match=r"not done within 0\.5 s"):
                    await call(client)
            await client.close(0.1)


async def test_a_cancelled_call_is_counted_as_such(small: DatabaseSettings, session: Session) -> None:
    finished: list[Operation] = []
    async with ArcEvalDBClient(small, on_operation=finished.append) as client:
        async with session.transaction():
            await session.execute("LOCK TABLE executions IN ACCESS EXCLUSIVE MODE")
            calling = asyncio.create_task(client.reference_to(ids.uuid7()))
            await eventually(
                lambda: client.metrics.value("arc_eval_client_pool_connections", state="in_use") == 1,
                "the call has a connection",
            )
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
        assert (finished[-1].name, finished[-1].result) == ("reference_to", "cancelled")
        assert await client.reference_to(ids.uuid7()) is None
        assert client.metrics.value("arc_eval_client_pool_connections", state="in_use") == 0
        assert client.metrics.value("arc_eval_client_operation_seconds_count", operation="reference_to") == 2


async def test_many_tasks_share_a_small_pool(client: ArcEvalDBClient, session: Session) -> None:
    references = await asyncio.gather(
        *(client.record_execution_start(ExecutionStart(f"s{number}", CONFIGURATION)) for number in range(60))
    )
    await asyncio.gather(*(client.record_execution_outcome(Outcome(one, "succeeded")) for one in references))
    assert await count(session, "outcomes") == 60
    health = await client.health_check()
    assert (health.pool.size, health.pool.in_use, health.pool.size_max) == (2, 0, 2)


async def test_a_client_that_is_not_open_says_so(small: DatabaseSettings, session: Session) -> None:
    client = ArcEvalDBClient(small, application_name="opened twice")
    for call in (client.reference_to(ids.uuid7()), client.health_check()):
        with pytest.raises(PoolClosedError, match="the client is not open"):
            await call
    await client.close()
    await asyncio.gather(client.open(), client.open())
    statement = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()"
    assert await session.fetch_value(statement, "opened twice") == 1
    assert (await client.health_check()).is_healthy
    await client.close()
    with pytest.raises(PoolClosedError):
        await client.reference_to(ids.uuid7())
    async with client:
        assert await client.reference_to(ids.uuid7()) is None


async def test_closing_ends_what_is_in_progress(small: DatabaseSettings, session: Session) -> None:
    client = ArcEvalDBClient(small)
    await client.open()
    async with session.transaction():
        await session.execute("LOCK TABLE executions IN ACCESS EXCLUSIVE MODE")
        calling = asyncio.create_task(client.reference_to(ids.uuid7()))
        await eventually(
            lambda: client.metrics.value("arc_eval_client_pool_connections", state="in_use") == 1, "it is in progress"
        )
        async with asyncio.timeout(10):
            await client.close(0.1)
            with pytest.raises(PoolClosedError):
                await calling


async def test_a_hook_that_fails_is_logged_and_does_no_harm(small: DatabaseSettings, session: Session) -> None:
    def fail(operation: Operation) -> None:
        raise RuntimeError(MARKER)

    with structlog.testing.capture_logs() as logs:
        async with ArcEvalDBClient(small, on_operation=fail) as client:
            await client.record_execution_start(ExecutionStart("s", CONFIGURATION))
    assert [(entry["event"], entry["operation"]) for entry in logs] == [
        ("client_hook_failed", "open"),
        ("client_hook_failed", "record_execution_start"),
    ]
    assert MARKER not in str(logs)
    assert await count(session, "executions") == 1


class NoReference:
    """Fails with an error that is not ours and quotes something."""

    @property
    def execution_id(self) -> UUID:
        raise LookupError(MARKER)


async def test_logs_show_no_payload(client: ArcEvalDBClient, execution: ExecutionReference, session: Session) -> None:
    await session.execute(f"ALTER TABLE failures ADD CONSTRAINT known CHECK (message <> '{MARKER}')")
    with structlog.testing.capture_logs() as logs:
        with pytest.raises(RowRefusedError):
            await client.record_failure_pattern(Failure(execution, "k", MARKER))
        with pytest.raises(EventRefusedError):
            await client.record_execution_outcome(Outcome(execution, MARKER))
        with pytest.raises(LookupError):
            await client.record_execution_outcome(Outcome(NoReference(), "failed"))  # type: ignore[arg-type]  # the fault
    assert [(entry["event"], entry["result"]) for entry in logs] == [
        ("client_operation_failed", "refused"),
        ("client_operation_failed", "refused"),
        ("client_operation_failed", "failed"),
    ]
    assert MARKER not in str(logs)


async def test_settings_come_from_the_environment(small: DatabaseSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="ARC_EVAL_DATABASE_URL is not set"):
        await ArcEvalDBClient().open()
    monkeypatch.setenv("ARC_EVAL_DATABASE_URL", small.database_url.get_secret_value())
    monkeypatch.setenv("ARC_EVAL_DATABASE_POOL_SIZE_MIN", "2")
    monkeypatch.setenv("ARC_EVAL_DATABASE_POOL_SIZE_MAX", "3")
    async with ArcEvalDBClient() as client:
        report = await client.health_check()
    assert (report.pool.size, report.pool.size_max) == (2, 3)


def test_metrics_are_defined_once_and_go_where_they_are_wanted() -> None:
    assert [metric.name for metric in CLIENT_METRICS] == list(get_args(ClientMetricName))
    registry = CollectorRegistry()
    metrics = ClientMetrics(registry)
    metrics.count("arc_eval_client_records_total", 3, result="inserted")
    assert registry.get_sample_value("arc_eval_client_records_total", {"result": "inserted"}) == 3
    with pytest.raises(ValueError, match="Duplicated"):
        ClientMetrics(registry)
