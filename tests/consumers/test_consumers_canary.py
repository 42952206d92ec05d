"""The canary: it says whether events arrive, and where they hang; and nobody's figures hold it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog
from prometheus_client import CollectorRegistry, generate_latest

from arc_eval_db.consumers import Worker
from arc_eval_db.consumers.canary import (
    CANARY_CONFIGURATION_VERSION_ID,
    CANARY_NAME,
    CANARY_SCENARIO_ID,
    Canary,
    CanaryMetrics,
    CanaryReport,
    CanaryResult,
    CanarySettings,
)
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.errors import SettingsError
from arc_eval_db.schemas.topics import TOOL_USED
from arc_eval_db.settings import KafkaSettings
from support.conditions import eventually
from support.events import event
from support.lagging import consumer_settings
from support.log import send_events
from support.proxy import TcpProxy
from support.roles import as_role

pytestmark = [pytest.mark.database, pytest.mark.kafka]

MakeCanary = Callable[..., Canary]

NOWHERE = "127.0.0.1:1"


@pytest.fixture
def canary(kafka_settings: KafkaSettings, database: DatabaseSettings, group: str) -> MakeCanary:
    """Makes canaries; what they look at is the test's own."""

    def make(
        *,
        timeout_s: float = 20,
        kafka: KafkaSettings = kafka_settings,
        login: DatabaseSettings = database,
        metrics: CanaryMetrics | None = None,
    ) -> Canary:
        settings = CanarySettings(timeout_s=timeout_s, interval_s=0.1)
        return Canary(kafka, login, settings, group=group, metrics=metrics)

    return make


@contextlib.asynccontextmanager
async def consuming(kafka: KafkaSettings, database: DatabaseSettings, group: str) -> AsyncIterator[None]:
    """A worker, as long as the block."""
    worker = Worker(kafka, database, consumer_settings(group, lag_sample_interval_s=0))
    running = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await running


@pytest.fixture
async def worker(kafka_settings: KafkaSettings, database: DatabaseSettings, group: str) -> AsyncIterator[None]:
    async with consuming(kafka_settings, database, group):
        yield


def runs(metrics: CanaryMetrics, result: CanaryResult) -> float:
    return metrics.value("arc_eval_canary_runs_total", result=result.value)


@pytest.mark.usefixtures("worker")
async def test_it_arrives_whole_and_in_nobody_s_figures(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, canary: MakeCanary
) -> None:
    metrics = CanaryMetrics(CollectorRegistry())
    reader = await as_role(database, "arc_eval_reader")
    one, other = (canary(login=reader, metrics=metrics) for _ in range(2))
    reports = [*await asyncio.gather(one.run_once(), other.run_once()), await one.run_once()]
    for report in reports:
        assert (report.result, report.reason, report.next_step) == (CanaryResult.ARRIVED, "", "")
        assert [each.relation for each in report.events] == [
            "execution_events",
            "execution_events",
            "tool_usage",
            "outcomes",
        ]
        assert report.acknowledged_s is not None
        assert report.seconds == max(each.visible_s or 0 for each in report.events) > 0
    assert len({report.execution_id for report in reports}) == 3, "two at once are no trouble"
    assert (one.last, runs(metrics, CanaryResult.ARRIVED)) == (reports[2], 3)
    assert metrics.value("arc_eval_canary_up") == 1
    assert metrics.value("arc_eval_canary_last_seconds") == reports[2].seconds
    assert metrics.value("arc_eval_canary_last_success_timestamp_seconds") == reports[2].started_at.timestamp()
    assert metrics.value("arc_eval_canary_seconds_count") == 3

    await send_events(kafka_settings, [event(TOOL_USED)])
    await eventually(lambda: _has(session, "SELECT count(*) = 4 FROM tool_usage"), "somebody's own tool use is there")
    # Each line of each page is of a configuration, of a scenario or of a simulation.
    for view in ("performance_hourly", "performance_daily", "performance_trends", "cost_breakdown", "tool_reliability"):
        rows = await session.fetch(f"SELECT * FROM {view}")
        theirs = [row for row in rows if row["configuration_version_id"] == CANARY_CONFIGURATION_VERSION_ID]
        assert {row["configuration"] for row in theirs} == {CANARY_NAME}
        assert len(theirs) == 1
        assert theirs[0].get("scenario_id", CANARY_SCENARIO_ID) == CANARY_SCENARIO_ID
    theirs_alone = f"scenario_id = '{CANARY_SCENARIO_ID}' AND simulation_id IS NULL"
    assert await _has(session, f"SELECT count(*) = 3 FROM executions WHERE {theirs_alone}")
    # Where somebody adds up all configurations, only the number of executions has grown.
    (all_,) = await session.fetch(
        "SELECT sum(executions) AS runs, sum(cost_usd) AS usd, max(score) AS score FROM performance_daily"
    )
    assert tuple(all_.values()) == (3, None, None)
    assert await _has(session, "SELECT bool_and(is_complete) FROM execution_completeness")


async def _has(session: Session, question: str) -> bool:
    return bool(await session.fetch_value(question))


async def test_before_the_first_run_nothing_is_claimed(canary: MakeCanary) -> None:
    shown = generate_latest(canary().metrics.registry).decode()
    for name in ("up", "last_seconds", "last_success_timestamp_seconds"):
        assert f"arc_eval_canary_{name} NaN" in shown
    for result in CanaryResult:
        assert f'arc_eval_canary_runs_total{{result="{result}"}} 0.0' in shown


async def test_without_a_worker_it_names_the_stage_and_the_step(
    kafka_settings: KafkaSettings, database: DatabaseSettings, group: str, canary: MakeCanary
) -> None:
    short = canary(timeout_s=0.3)
    with structlog.testing.capture_logs() as logs:
        report = await short.run_once()
    assert (report.result, report.next_step) == (CanaryResult.NOT_CONSUMED, "arc-eval-db consume")
    assert "Kafka has all events, and after 0.3 s there is no row of arc_eval.execution.started.v1" in report.reason
    assert "stopped: the group has never consumed it" in report.reason
    assert (report.seconds, {each.visible_s for each in report.events}) == (None, {None})
    assert report.acknowledged_s is not None
    assert (short.metrics.value("arc_eval_canary_up"), runs(short.metrics, CanaryResult.NOT_CONSUMED)) == (0, 1)
    assert logs[-1]["event"] == "canary_not_arrived"
    assert logs[-1]["next_step"] == "arc-eval-db consume"
    async with consuming(kafka_settings, database, group):
        assert (await canary().run_once()).has_arrived, "what came before is no trouble"


TWICE = """BEGIN
    IF pg_trigger_depth() = 1 THEN
        NEW.time = NEW.time + INTERVAL '1 second'; INSERT INTO tool_usage SELECT NEW.*;
        NEW.time = NEW.time - INTERVAL '1 second';
    END IF;
    RETURN NEW;
END"""

SABOTAGE = {
    "set aside": (
        "ALTER TABLE tool_usage ADD CONSTRAINT no_canary CHECK (tool <> 'arc-eval-canary')",
        CanaryResult.DEAD_LETTERED,
        "dead letter 1, reason refused_by_database",
        "arc-eval-db dead-letters show 1",
    ),
    "lost": (
        "BEGIN RETURN NULL; END",
        CanaryResult.NOT_CONSUMED,
        "there is no row of arc_eval.tool.used.v1; group",
        "compare the workers' ARC_EVAL_DATABASE_URL",
    ),
    "changed": (
        "BEGIN NEW.result_bytes = 8; RETURN NEW; END",
        CanaryResult.WRONG,
        "tool_usage, sequence 3: result_bytes not as emitted",
        "arc-eval-db replay TOPIC --verify",
    ),
    "of another configuration": (
        "BEGIN NEW.configuration_version_id = NEW.scenario_id; RETURN NEW; END",
        CanaryResult.WRONG,
        "tool_usage, sequence 3: configuration_version_id not as emitted",
        "arc-eval-db replay TOPIC --verify",
    ),
    "twice": (
        TWICE,
        CanaryResult.WRONG,
        "tool_usage, sequence 3: a row too many",
        "arc-eval-db replay TOPIC --verify",
    ),
}


@pytest.mark.parametrize("how", SABOTAGE)
@pytest.mark.usefixtures("worker")
async def test_what_does_not_become_the_right_rows_is_said(session: Session, canary: MakeCanary, how: str) -> None:
    statement, result, reason, next_step = SABOTAGE[how]
    if statement.startswith("BEGIN"):
        await session.execute(f"CREATE FUNCTION sabotage() RETURNS trigger LANGUAGE plpgsql AS '{_quoted(statement)}'")
        statement = "CREATE TRIGGER sabotage BEFORE INSERT ON tool_usage FOR EACH ROW EXECUTE FUNCTION sabotage()"
    await session.execute(statement)
    await eventually(lambda: _is_consumed(session), "the worker has its partitions")
    report = await canary(timeout_s=1.5 if how == "lost" else 20).run_once()
    assert report.result is result, report
    assert reason in report.reason
    assert report.next_step.startswith(next_step)


async def _is_consumed(session: Session) -> bool:
    return await _has(session, "SELECT count(*) = 6 FROM consumer_offsets")


def _quoted(text: str) -> str:
    return text.replace("'", "''")


async def test_a_database_that_is_away_is_a_result(canary: MakeCanary) -> None:
    away = DatabaseSettings.load(database_url=f"postgresql://nobody@{NOWHERE}/none")
    report = await canary(login=away).run_once()
    assert (report.result, report.next_step) == (CanaryResult.DATABASE_AWAY, "arc-eval-db doctor --database")
    assert report.reason.startswith("the canary cannot look into the database: ")


async def test_a_database_that_goes_away_meanwhile_is_one_too(database: DatabaseSettings, canary: MakeCanary) -> None:
    async with TcpProxy.to_url(database.database_url.get_secret_value()) as proxy:
        login = DatabaseSettings.load(database_url=proxy.url)
        running = asyncio.create_task(canary(login=login).run_once())
        await eventually(lambda: bool(proxy.connections), "it looks")
        proxy.cut()
        report = await running
    assert report.result is CanaryResult.DATABASE_AWAY


async def test_a_login_that_may_not_read_is_told_which_may(database: DatabaseSettings, canary: MakeCanary) -> None:
    report = await canary(login=await as_role(database, "arc_eval_writer")).run_once()
    assert report.result is CanaryResult.DATABASE_AWAY
    assert report.next_step == "let the canary log in as arc_eval_reader, or as a member of it"
    assert {each.event_id for each in report.events} == {None}, "what cannot be looked for is not sent"


async def test_a_kafka_that_is_away_is_a_result(kafka_settings: KafkaSettings, canary: MakeCanary) -> None:
    report = await canary(kafka=replace(kafka_settings, bootstrap_servers=NOWHERE), timeout_s=0.5).run_once()
    assert (report.result, report.next_step) == (CanaryResult.NOT_ACKNOWLEDGED, "arc-eval-db doctor")
    assert report.reason.startswith("Kafka has not taken 4 of 4 events in 0.5 s: cannot reach Kafka")
    assert report.acknowledged_s is None


async def test_a_canary_that_cannot_begin_does_not_raise(canary: MakeCanary) -> None:
    report = await canary(kafka=KafkaSettings()).run_once()
    assert (report.result, report.execution_id, report.events) == (CanaryResult.FAILED, None, ())
    assert "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS is not set" in report.reason


@pytest.mark.usefixtures("worker")
async def test_it_runs_beside_its_host_again_and_again(canary: MakeCanary) -> None:
    async with canary() as running:
        arrived = lambda: runs(running.metrics, CanaryResult.ARRIVED) >= 2  # noqa: E731
        await eventually(arrived, "it has arrived twice")
    assert running.last is not None
    assert running.last.has_arrived


async def test_it_ends_with_its_host_in_the_middle_of_a_run(session: Session, canary: MakeCanary) -> None:
    async with canary(timeout_s=600):
        looks = "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'arc-eval-db canary'"
        await eventually(lambda: _has(session, looks), "it looks for its rows")
    await eventually(lambda: _has(session, f"SELECT NOT ({looks})"), "it has let go")
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "canary"]


def test_the_page_names_the_version_that_figures_leave_out() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "canary.md"
    assert page.read_text().count(str(CANARY_CONFIGURATION_VERSION_ID)) == 2


def test_settings_name_the_variable_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARC_EVAL_CANARY_TIMEOUT_S", "0")
    with pytest.raises(SettingsError, match="ARC_EVAL_CANARY_TIMEOUT_S"):
        CanarySettings.load()


def test_a_report_is_json() -> None:
    report = CanaryReport(datetime(2026, 11, 26, tzinfo=UTC), None, CanaryResult.FAILED, None, (), "why", "what to do")
    fields: dict[str, Any] = orjson.loads(orjson.dumps(report.to_json()))
    assert (fields["result"], fields["reason"], fields["next_step"], fields["events"]) == (
        "failed",
        "why",
        "what to do",
        [],
    )
