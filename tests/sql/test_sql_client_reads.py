"""The client's reads and its health check."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import structlog
from pydantic import SecretStr

from arc_eval_db import client as client_module
from arc_eval_db.client import RECORDS_MAX, ArcEvalDBClient
from arc_eval_db.database import (
    DatabaseSettings,
    DatabaseUnavailableError,
    PoolClosedError,
    SchemaMismatchError,
    Session,
)
from arc_eval_db.migrations import Edition, Migrator
from arc_eval_db.records import Envelope, ExecutionReference, ExecutionStart, Failure, Outcome, ToolUse
from arc_eval_db.results import OutcomeCursor, RecordReport, StoredOutcome
from arc_eval_db.retries import RetryPolicy
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.status import ExecutionStatus
from support.conditions import eventually
from support.databases import connect
from support.proxy import TcpProxy
from support.roles import as_role

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


async def test_unknown_executions_are_none(client: ArcEvalDBClient) -> None:
    assert await client.get_execution(ids.uuid7()) is None
    assert await client.reference_to(ids.uuid7()) is None


async def test_an_execution_of_which_little_is_known(client: ArcEvalDBClient) -> None:
    execution = ExecutionReference(ids.uuid7(), ids.configuration_version_id(CONFIGURATION), ids.scenario_id("s"))
    old = Envelope(time=datetime(2021, 5, 1, tzinfo=UTC))
    await client.record_tool_usage([ToolUse(execution, "lookup", success=True, envelope=old)])
    stored = await client.get_execution(execution.execution_id)
    assert stored is not None
    assert (stored.configuration, stored.scenario, stored.simulation_id) == (None, None, None)
    assert (stored.started_at, stored.ended_at, stored.outcome, stored.metadata) == (None, None, None, None)
    assert (stored.events, stored.failures, len(stored.tool_usage)) == ((), (), 1)


async def test_the_last_end_counts_and_the_order_is_that_of_time(
    client: ArcEvalDBClient, execution: ExecutionReference
) -> None:
    now = datetime.now(UTC)
    for seconds, status in ((2, "failed"), (3, "succeeded"), (1, "errored")):
        await client.record_execution_outcome(
            Outcome(execution, status, envelope=Envelope(time=now + timedelta(seconds=seconds)))
        )
    moments = [(2, 0), (1, 5), (1, 4), (3, 0)]
    await client.record_tool_usage(
        [
            ToolUse(
                execution,
                f"{seconds}-{sequence}",
                success=True,
                envelope=Envelope(time=now + timedelta(seconds=seconds), sequence=sequence),
            )
            for seconds, sequence in moments
        ]
    )
    stored = await client.get_execution(execution.execution_id)
    assert stored is not None
    assert stored.outcome is not None
    assert stored.outcome.status is ExecutionStatus.SUCCEEDED
    assert [use.tool for use in stored.tool_usage] == ["1-4", "1-5", "2-0", "3-0"]


async def test_a_long_execution_is_cut_and_says_so(
    client: ArcEvalDBClient, execution: ExecutionReference, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.record_tool_usage([ToolUse(execution, "t", success=True) for _ in range(3)])
    monkeypatch.setattr(client_module, "RECORDS_MAX", 2)
    stored = await client.get_execution(execution.execution_id)
    assert stored is not None
    assert (len(stored.tool_usage), stored.is_truncated) == (2, True)
    monkeypatch.setattr(client_module, "RECORDS_MAX", 3)
    stored = await client.get_execution(execution.execution_id)
    assert stored is not None
    assert (len(stored.tool_usage), stored.is_truncated) == (3, False)


async def test_outcomes_are_read_page_by_page_each_once(client: ArcEvalDBClient) -> None:
    begin = datetime(2026, 11, 1, tzinfo=UTC)
    version = ids.configuration_version_id(CONFIGURATION)
    expected: list[tuple[datetime, UUID]] = []
    # Three at each moment: pages end between rows of the same time. The others are another version's.
    for number in range(22):
        time = begin + timedelta(hours=number // 3)
        of_other = number % 7 == 6
        reference = ExecutionReference(
            ids.uuid7(), ids.configuration_version_id({}) if of_other else version, ids.scenario_id("s")
        )
        event_id = ids.uuid7()
        await client.record_execution_outcome(
            Outcome(reference, "succeeded", envelope=Envelope(time=time, event_id=event_id))
        )
        if not of_other:
            expected.append((time, event_id))

    async def read(limit: int, since: datetime, until: datetime | None) -> list[StoredOutcome]:
        found: list[StoredOutcome] = []
        after: OutcomeCursor | None = None
        while True:
            page = await client.get_outcomes(version, since=since, until=until, limit=limit, after=after)
            assert len(page.outcomes) <= limit
            found += page.outcomes
            after = page.next
            if after is None:
                return found

    for limit in (1, 2, 3, 5, 1000):
        assert [(one.time, one.event_id) for one in await read(limit, begin, None)] == sorted(expected)
    since, until = begin + timedelta(hours=2), begin + timedelta(hours=4)
    within = [(one.time, one.event_id) for one in await read(2, since, until)]
    assert within == [(time, event_id) for time, event_id in sorted(expected) if since <= time < until]
    assert {time for time, _ in within} == {since, since + timedelta(hours=1)}


@pytest.mark.parametrize("limit", [0, RECORDS_MAX + 1])
async def test_limits_are_checked(client: ArcEvalDBClient, limit: int) -> None:
    for call in (
        client.get_outcomes(ids.uuid7(), since=datetime.now(UTC), limit=limit),
        client.get_active_configurations(limit=limit),
        client.get_active_simulations(limit=limit),
    ):
        with pytest.raises(ValueError, match="limit: from 1 to 10000"):
            await call


async def test_times_need_their_offset(client: ArcEvalDBClient) -> None:
    naive = datetime(2026, 11, 23)  # noqa: DTZ001 - what is to be refused
    with pytest.raises(ValueError, match="offset from UTC"):
        await client.get_outcomes(ids.uuid7(), since=naive)
    with pytest.raises(ValueError, match="offset from UTC"):
        await client.get_outcomes(ids.uuid7(), since=datetime.now(UTC), until=naive)


async def test_active_configurations_are_those_that_ran_lately(client: ArcEvalDBClient) -> None:
    now = datetime.now(UTC)
    ages_days = {"fresh": (0, 1, 40), "stale": (20,), "gone": (31,)}
    for name, days in ages_days.items():
        for age in days:
            envelope = Envelope(time=now - timedelta(days=age))
            await client.record_execution_start(ExecutionStart("s", {"name": name, "n": [1]}, envelope=envelope))
    await client.record_execution_start(ExecutionStart("s", ids.configuration_version_id({}), envelope=Envelope()))
    unnamed, fresh, stale = await client.get_active_configurations()
    assert (unnamed.name, unnamed.content, unnamed.executions) == (None, None, 1)
    assert (fresh.name, fresh.content, fresh.executions) == ("fresh", {"name": "fresh", "n": [1]}, 2)
    assert fresh.last_execution_at == now
    assert (stale.name, stale.id) == ("stale", ids.configuration_version_id({"name": "stale", "n": [1]}))
    assert len(await client.get_active_configurations(timedelta(days=10))) == 2
    assert len(await client.get_active_configurations(timedelta(days=100), limit=3)) == 3
    assert len(await client.get_active_configurations(timedelta(days=100))) == 4


async def test_active_simulations(client: ArcEvalDBClient) -> None:
    references = [
        await client.record_execution_start(ExecutionStart("s", CONFIGURATION, simulation))
        for simulation in ("nightly", "nightly", "nightly", "over", None)
    ]
    for reference, status in ((references[0], "succeeded"), (references[1], "failed"), (references[3], "succeeded")):
        await client.record_execution_outcome(Outcome(reference, status, cost_usd=0.25))
    (active,) = await client.get_active_simulations()
    assert (active.simulation_id, active.simulation) == (ids.simulation_id("nightly"), "nightly")
    assert (active.running, active.completed, active.abandoned, active.succeeded) == (1, 2, 0, 1)
    assert active.cost_usd == 0.5
    assert active.started_at is not None
    assert active.last_activity_at is not None
    assert active.started_at <= active.last_activity_at


async def test_the_writer_records_and_the_reader_reads(small: DatabaseSettings) -> None:
    once = Envelope(event_id=ids.uuid7())
    async with (
        ArcEvalDBClient(await as_role(small, "arc_eval_writer"), retries=QUICK) as writer,
        ArcEvalDBClient(await as_role(small, "arc_eval_reader"), retries=QUICK) as reader,
    ):
        execution = await writer.record_execution_start(ExecutionStart("s", CONFIGURATION, "nightly"))
        use = ToolUse(execution, "lookup", success=True, envelope=once)
        assert await writer.record_tool_usage([use, use]) == RecordReport(1, 1)
        assert await writer.record_tool_usage([use]) == RecordReport(0, 1)
        await writer.record_failure_pattern(Failure(execution, "k", "m"))
        assert await writer.record_execution_outcome(Outcome(execution, "failed"))
        assert await writer.reference_to(execution.execution_id) == execution
        assert (await writer.health_check()).is_healthy
        with pytest.raises(SchemaMismatchError, match="permission denied"):
            await writer.get_execution(execution.execution_id)

        stored = await reader.get_execution(execution.execution_id)
        assert stored is not None
        assert (len(stored.tool_usage), len(stored.failures)) == (1, 1)
        page = await reader.get_outcomes(execution.configuration_version_id, since=datetime(2026, 1, 1, tzinfo=UTC))
        assert len(page.outcomes) == 1
        assert len(await reader.get_active_configurations()) == 1
        assert await reader.get_active_simulations() == ()
        health = await reader.health_check()
        assert (health.reachable, health.writable) == (True, False)
        # Which of the two the server notices first depends on the edition.
        with pytest.raises((SchemaMismatchError, DatabaseUnavailableError), match=r"permission denied|read-only"):
            await reader.record_execution_outcome(Outcome(execution, "failed"))


async def test_a_healthy_database(client: ArcEvalDBClient, edition: Edition) -> None:
    report = await client.health_check()
    assert report.is_healthy
    assert (report.reachable, report.writable, report.problems) == (True, True, ())
    assert report.latency_ms is not None
    assert 0 < report.latency_ms < 5000
    assert report.server_version is not None
    assert int(report.server_version.split(".")[0]) >= 15
    assert report.edition == edition.value
    assert report.schema_version == report.schema_version_needed >= 3
    assert report.pool.size == 1


async def test_a_database_without_schema(empty_database: DatabaseSettings) -> None:
    settings = empty_database.model_copy(update={"database_pool_size_min": 1})
    async with ArcEvalDBClient(settings, retries=QUICK) as client:
        report = await client.health_check()
        assert (report.reachable, report.is_healthy, report.schema_version, report.edition) == (True, False, None, None)
        assert "run: arc-eval-db migrate up" in report.problems[0]
        with structlog.testing.capture_logs() as logs, pytest.raises(SchemaMismatchError):
            await client.record_execution_start(ExecutionStart("s", CONFIGURATION))
        assert [(entry["event"], entry["attempts"]) for entry in logs] == [("client_operation_failed", 1)]
        async with await connect(empty_database) as session:
            await Migrator(session).up(target=2)
        report = await client.health_check()
        assert report.schema_version == 2
        assert report.problems[0].startswith("the schema is at 0002, this release needs 00")


async def test_a_server_that_takes_no_writes(small: DatabaseSettings, session: Session) -> None:
    name = await session.fetch_value("SELECT current_database()")
    await session.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    async with ArcEvalDBClient(small) as client:
        report = await client.health_check()
    assert (report.reachable, report.writable, report.is_healthy) == (True, False, False)
    assert "takes no writes" in report.problems[0]


async def test_an_unreachable_database_is_reported_in_time(small: DatabaseSettings) -> None:
    async with proxy_to(small) as proxy:
        client = ArcEvalDBClient(through(small, proxy), retries=QUICK)
        await client.open()
        proxy.stall()
        async with asyncio.timeout(10):
            silent = await client.health_check(0.2)
        assert (silent.reachable, silent.latency_ms, silent.problems) == (False, None, ("no answer within 0.2 s",))
    gone = await client.health_check()
    assert (gone.reachable, gone.is_healthy, gone.server_version, gone.writable) == (False, False, None, False)
    # Which of them depends on whether the pool has noticed by then that its connections are gone.
    assert gone.problems == ("no answer within 5 s",) or "Connection" in gone.problems[0]
    await client.close()


async def test_an_exhausted_pool_is_reported(small: DatabaseSettings, session: Session) -> None:
    settings = small.model_copy(update={"database_pool_size_max": 1, "database_pool_acquire_timeout_s": 0.1})
    async with ArcEvalDBClient(settings) as client:
        async with session.transaction():
            await session.execute("LOCK TABLE executions IN ACCESS EXCLUSIVE MODE")
            calling = asyncio.create_task(client.reference_to(ids.uuid7()))
            await eventually(
                lambda: client.metrics.value("arc_eval_client_pool_connections", state="in_use") == 1, "it is lent"
            )
            report = await client.health_check()
            assert "the pool is exhausted" in report.problems[0]
            assert (report.reachable, report.pool.in_use) == (False, 1)
        assert await calling is None


async def test_a_health_check_of_a_client_that_is_closed_meanwhile(small: DatabaseSettings) -> None:
    settings = small.model_copy(update={"database_pool_size_max": 1, "database_pool_acquire_timeout_s": 0.3})
    client = ArcEvalDBClient(settings)
    await client.open()
    async with client._operations.pool.session():
        checking = asyncio.create_task(client.health_check())
        await asyncio.sleep(0)
        closing = asyncio.create_task(client.close())
        with pytest.raises(PoolClosedError):
            await checking
    await closing
