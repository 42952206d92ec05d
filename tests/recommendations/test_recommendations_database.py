"""Samples from the database: what is read, of whom, and what counts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from arc_eval_db.client import ArcEvalDBClient
from arc_eval_db.configurations import ConfigurationError, ReferenceRefusedError
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import Edition
from arc_eval_db.recommendations import ComparisonOptions, ComparisonReport, compare, comparing
from arc_eval_db.records import Envelope, ExecutionReference, ExecutionStart, Outcome, ToolUse
from arc_eval_db.schemas import ids
from arc_eval_db.sql import queries
from support.conditions import eventually

pytestmark = pytest.mark.database

A = {"name": "first", "model": "m1"}
B = {"name": "second", "model": "m2"}
NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


@pytest.fixture
async def client(database: DatabaseSettings) -> AsyncIterator[ArcEvalDBClient]:
    settings = database.model_copy(update={"database_pool_size_min": 1, "database_pool_size_max": 2})
    async with ArcEvalDBClient(settings) as opened:
        yield opened


async def started(
    client: ArcEvalDBClient, configuration: dict[str, str], scenario: str = "s", *, at: datetime = NOW
) -> ExecutionReference:
    return await client.record_execution_start(
        ExecutionStart(scenario, configuration, envelope=Envelope(time=at - timedelta(minutes=1)))
    )


async def run(
    client: ArcEvalDBClient,
    configuration: dict[str, str],
    scenario: str = "s",
    status: str = "failed",
    *,
    at: datetime = NOW,
    tool_errors: int = 0,
    **values: float,
) -> ExecutionReference:
    execution = await started(client, configuration, scenario, at=at)
    await client.record_execution_outcome(Outcome(execution, status, **values, envelope=Envelope(time=at)))  # type: ignore[arg-type]
    await client.record_tool_usage(
        [ToolUse(execution, "t", success=n >= tool_errors, envelope=Envelope(time=at)) for n in range(tool_errors + 1)]
    )
    return execution


@pytest.mark.parametrize("few", [1, 1000], ids=["many", "few"])
async def test_everything_that_was_measured_is_read(
    client: ArcEvalDBClient, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(comparing, "_FEW_RUNS", few)
    await run(client, A, "s", "succeeded", score=0.5, cost_usd=1, duration_ms=100, tool_errors=2)
    await run(client, A, "s", "timed_out", score=1.5, cost_usd=3, tool_errors=0)
    await run(client, A, "t", "errored", cost_usd=5)
    await run(client, A, "t", "cancelled", cost_usd=1000, tool_errors=9)
    await run(client, B, "s", "succeeded", cost_usd=7)
    await run(client, {"name": "third"}, "s", "succeeded", cost_usd=9)
    report = await compare(client, "first", "second")
    assert (report.a.name, report.b.name) == ("first@1", "second@1")
    assert report.a.configuration_version_id == ids.configuration_version_id(A)
    assert (report.a.runs, report.a.scenarios, report.b.runs, report.common_scenarios) == (3, 2, 1, 1)
    assert {status.value: count for status, count in report.a.statuses.items()} == {
        "succeeded": 1,
        "failed": 0,
        "errored": 1,
        "timed_out": 1,
        "cancelled": 1,
    }
    means = {one.metric.value: one.overall and one.overall.a_mean for one in report.metrics}
    assert means == pytest.approx(
        {"success": 1 / 3, "score": None, "cost_usd": 3, "duration_ms": None, "tool_errors": 2 / 3}
    )
    missing = {one.metric.value: (one.a_missing, one.b_missing) for one in report.metrics}
    assert missing == {
        "success": (0, 0),
        "score": (1, 1),
        "cost_usd": (0, 0),
        "duration_ms": (2, 1),
        "tool_errors": (0, 0),
    }
    assert report.flips[0].scenario == "s", "one of two runs is not most of them"


async def test_a_score_out_of_all_proportion_keeps_nobody_from_comparing(client: ArcEvalDBClient) -> None:
    """Its variance is beyond what PostgreSQL computes."""
    for score in (1e200, -1e300, 2.0):
        await run(client, A, "s", "succeeded", score=score)
    await run(client, B, "s", "failed", score=1)
    report = await compare(client, "first", "second")
    score_found = report.metric("score").overall
    assert score_found is not None
    assert (report.metric("score").a_missing, score_found.a_mean, report.a.runs) == (2, 2.0, 3)


async def test_an_execution_that_ended_twice_counts_once_by_its_last_end(client: ArcEvalDBClient) -> None:
    execution = await run(client, A, "s", "errored", cost_usd=1)
    later = Envelope(time=NOW + timedelta(seconds=1))
    await client.record_execution_outcome(Outcome(execution, "succeeded", cost_usd=2, envelope=later))
    await run(client, B, "s", cost_usd=1)
    report = await compare(client, "first", "second")
    overall = report.metric("cost_usd").overall
    assert overall is not None
    assert (report.a.runs, report.a.statuses["succeeded"], overall.a_mean) == (1, 1, 2)  # type: ignore[index]


async def test_what_has_not_ended_is_told_and_does_not_count(client: ArcEvalDBClient) -> None:
    await run(client, A)
    await run(client, B)
    await started(client, A, at=datetime.now(UTC))
    await started(client, A, at=NOW - timedelta(days=2))
    await started(client, A, at=NOW - timedelta(days=5))
    report = await compare(client, "first", "second")
    assert (report.a.runs, report.a.running, report.a.abandoned) == (1, 1, 2)
    assert (report.b.running, report.b.abandoned) == (0, 0)
    recent = await compare(client, "first", "second", since=NOW - timedelta(days=3))
    assert (recent.a.running, recent.a.abandoned) == (1, 1)


async def test_only_the_window_is_read(client: ArcEvalDBClient) -> None:
    for hours in range(4):
        await run(client, A, at=NOW - timedelta(hours=hours), cost_usd=hours)
    await run(client, B)

    async def costs(**window: datetime) -> float:
        overall = (await compare(client, "first", "second", **window)).metric("cost_usd").a_missing  # type: ignore[arg-type]
        assert overall == 0
        return (await compare(client, "first", "second", **window)).a.runs  # type: ignore[arg-type]

    assert await costs() == 4
    assert await costs(since=NOW - timedelta(hours=2)) == 3, "since is included"
    assert await costs(since=NOW - timedelta(hours=2), until=NOW) == 2, "until is not"
    report = await compare(client, "first", "second", since=NOW - timedelta(hours=2))
    assert (report.since, report.until) == (NOW - timedelta(hours=2), None)


async def test_only_the_latest_are_read_where_there_are_many(client: ArcEvalDBClient) -> None:
    for minutes in range(5):
        await run(client, A, at=NOW - timedelta(minutes=minutes), score=float(minutes))
    await run(client, B)
    report = await compare(client, "first", "second", runs_max=3)
    overall = report.metric("score")
    assert (report.a.runs, report.a.is_limited, report.b.is_limited) == (3, True, False)
    assert report.notes[0].startswith("only the latest 3 runs of A were read")
    assert overall.a_missing == 0
    assert (await compare(client, "first", "second", runs_max=6)).a.is_limited is False


async def test_tool_uses_of_others_and_of_other_days_are_not_counted(client: ArcEvalDBClient) -> None:
    long_ago = await run(client, A, "s", tool_errors=1, duration_ms=3 * 86_400_000.0)
    early = Envelope(time=NOW - timedelta(days=3, hours=12))
    await client.record_tool_usage([ToolUse(long_ago, "t", success=False, envelope=early)])
    await run(client, B, "s", tool_errors=4)
    overall = (await compare(client, "first", "second")).metric("tool_errors").overall
    assert overall is not None
    assert (overall.a_mean, overall.b_mean) == (2, 4), "an execution may last for days"


async def test_tool_uses_that_were_dropped_are_not_known(
    client: ArcEvalDBClient, session: Session, edition: Edition
) -> None:
    await session.execute("UPDATE storage_policies SET drop_after = INTERVAL '30 days' WHERE relation = 'tool_usage'")
    await run(client, A, at=NOW - timedelta(days=40))
    await run(client, A)
    await run(client, B)
    dropped = 1 if edition is Edition.TIMESCALEDB else 0
    assert (await compare(client, "first", "second")).metric("tool_errors").a_missing == dropped
    # On PostgreSQL nothing is ever dropped; what the schema says it is decides.
    await session.execute("UPDATE schema_migrations SET edition = 'timescaledb'")
    assert (await compare(client, "first", "second")).metric("tool_errors").a_missing == 1


async def test_a_session_will_do(client: ArcEvalDBClient, session: Session) -> None:
    await run(client, A)
    await run(client, B)
    by_client: ComparisonReport = await compare(client, "first", "second", ComparisonOptions(alpha=0.1))
    assert await compare(session, "first", "second", ComparisonOptions(alpha=0.1)) == by_client


async def test_versions_are_named_as_on_the_command_line(client: ArcEvalDBClient) -> None:
    await run(client, A)
    await run(client, B)
    content_hash = ids.configuration_hash(A)
    for reference in (ids.configuration_version_id(A), f"sha256:{content_hash[:8]}", "first@1", "first"):
        report = await compare(client, reference, "second")
        assert (report.a.configuration_version_id, report.a.name) == (ids.configuration_version_id(A), "first@1")


async def test_a_name_means_its_latest_version(client: ArcEvalDBClient) -> None:
    await run(client, A)
    await run(client, B)
    other = {**A, "model": "m3"}
    await run(client, other)
    assert (await compare(client, "second", "first")).b.configuration_version_id == ids.configuration_version_id(other)


@pytest.mark.parametrize("reference", [UUID(int=1), "nobody", "sha256:00000000", "sha256:0", ""])
async def test_what_is_not_there_is_said(client: ArcEvalDBClient, reference: UUID | str) -> None:
    await run(client, A)
    with pytest.raises(ConfigurationError):
        await compare(client, reference, "first")


async def test_a_version_is_not_compared_with_itself(client: ArcEvalDBClient) -> None:
    await run(client, A)
    with pytest.raises(ReferenceRefusedError, match="are the same configuration version"):
        await compare(client, "first", ids.configuration_version_id(A))


async def test_arguments_are_checked(client: ArcEvalDBClient) -> None:
    with pytest.raises(ValueError, match="offset from UTC"):
        await compare(client, "first", "second", since=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point
    with pytest.raises(ValueError, match="since must be before until"):
        await compare(client, "first", "second", since=datetime.now(UTC), until=datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="runs_max: must be at least 1"):
        await compare(client, "first", "second", runs_max=0)


async def test_only_the_two_versions_rows_are_looked_at(client: ArcEvalDBClient, session: Session) -> None:
    """However many others there are: by the index on version and time, and tool uses by execution."""
    await run(client, A, tool_errors=1)
    for table, last, value, count in (
        ("outcomes", "status, success", "'failed', false", 20_000),
        ("tool_usage", "tool, success", "'t', true", 50_000),
    ):
        await session.execute(
            f"INSERT INTO {table} (time, event_id, execution_id, configuration_version_id, scenario_id, sequence,"
            f" {last}) SELECT $1, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1,"
            f" {value} FROM generate_series(1, {count})",
            NOW,
        )
    await session.execute("ANALYZE outcomes, tool_usage")
    await session.execute(f"PREPARE samples AS {queries('comparison')['scenario_samples']}")
    versions = ", ".join(f"'{ids.configuration_version_id(one)}'" for one in (A, B))
    arguments = f"ARRAY[{versions}]::uuid[], now() - INTERVAL '1 day', now(), 1000"
    plan = "\n".join(row["QUERY PLAN"] for row in await session.fetch(f"EXPLAIN EXECUTE samples ({arguments})"))
    assert "outcomes_configuration_version_id_idx" in plan
    assert "tool_usage_execution_id_idx" in plan
    assert "Seq Scan on outcomes" not in plan
    assert "Seq Scan on tool_usage" not in plan


async def test_two_at_once_and_who_gives_up_leaves_the_queue(
    client: ArcEvalDBClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing ends a thread: so there are few of them, and none is begun for nobody."""
    await run(client, A)
    await run(client, B)
    asked: list[None] = []
    begun: list[None] = []
    release = threading.Event()

    def prepared(*_: object, **__: object) -> Callable[[], str]:
        asked.append(None)
        return work

    def work() -> str:
        begun.append(None)
        assert release.wait(20)
        return "done"

    async def are_asked_for() -> bool:
        return len(asked) == 5

    async def are_begun() -> bool:
        return len(begun) == 2

    monkeypatch.setattr(comparing, "partial", prepared)
    first = [asyncio.create_task(compare(client, "first", "second")) for _ in range(2)]
    await eventually(are_begun, "two are at work")
    more = [asyncio.create_task(compare(client, "first", "second")) for _ in range(3)]
    await eventually(are_asked_for, "three wait")
    assert len(begun) == 2
    for task in more[:2]:
        task.cancel()
    await asyncio.wait(more[:2], timeout=20)
    release.set()
    done: list[Any] = await asyncio.wait_for(asyncio.gather(*first, more[2]), 20)
    assert done == ["done"] * 3
    assert len(begun) == 3
