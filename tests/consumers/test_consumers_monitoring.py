"""A monitor of the pipeline: what it shows is what was seen, and nothing that hangs or is slow holds it up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from arc_eval_db.consumers.alerts import AlertRunner, AlertSettings
from arc_eval_db.consumers.lag import LagReport, LagState
from arc_eval_db.consumers.monitoring import (
    MONITOR_METRICS,
    Look,
    MonitorMetricName,
    MonitorMetrics,
    MonitorSettings,
    PipelineMonitor,
    TooManyListenersError,
    Update,
    UpdateKind,
    Updates,
)
from arc_eval_db.consumers.monitoring.looking import Looking
from arc_eval_db.consumers.monitoring.showing import Shown, show_health, show_lag
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.errors import SettingsError
from arc_eval_db.health import CheckResult, HealthReport, State
from arc_eval_db.schemas.topics import TOOL_USED, TopicNames
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import TopicPartition
from support.conditions import eventually
from support.events import event
from support.health import quick
from support.lagging import member
from support.topics import produce

pytestmark = [pytest.mark.database, pytest.mark.kafka]

NOW = datetime(2026, 11, 26, tzinfo=UTC)
AWAY = KafkaSettings(bootstrap_servers="127.0.0.1:1", request_timeout_ms=500)


def monitor_of(kafka: KafkaSettings, database: DatabaseSettings, group: str, **values: Any) -> PipelineMonitor:
    """One that looks often."""
    only_when_followed = values.pop("only_when_followed", False)
    settings = MonitorSettings.load(**{"lag_interval_s": 0.1, "health_interval_s": 600, **values})
    return PipelineMonitor(
        kafka, database, group, settings=settings, health_settings=quick(), only_when_followed=only_when_followed
    )


async def seen_lag(kafka: KafkaSettings, database: DatabaseSettings, group: str) -> LagReport:
    """What one look of a monitor sees."""
    async with monitor_of(kafka, database, group, only_when_followed=True) as monitor:
        report = (await monitor.fresh_lag()).report
    assert report is not None
    return report


async def newest(updates: Updates, kind: UpdateKind) -> Update:
    """The next update of a kind."""
    async with asyncio.timeout(20):
        async for update in updates:
            if update.kind is kind:
                return update
    raise AssertionError("updates never end")


def test_every_metric_is_defined_once() -> None:
    assert [metric.name for metric in MONITOR_METRICS] == list(get_args(MonitorMetricName))


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARC_EVAL_MONITOR_LAG_INTERVAL_S", "7")
    assert MonitorSettings.load().lag_interval_s == 7
    monkeypatch.setenv("ARC_EVAL_MONITOR_LAG_INTERVAL_S", "0")
    with pytest.raises(SettingsError, match="ARC_EVAL_MONITOR_LAG_INTERVAL_S: "):
        MonitorSettings.load()


async def test_what_is_shown_is_what_was_seen(
    kafka_settings: KafkaSettings, database: DatabaseSettings, group: str
) -> None:
    topic = TopicNames(kafka_settings.topic_prefix).of_type(TOOL_USED)
    await produce(kafka_settings, TopicPartition(topic, 0), [event(TOOL_USED) for _ in range(3)])
    async with (
        member(kafka_settings, group),
        monitor_of(kafka_settings, database, group) as monitor,
        monitor.follow() as updates,
    ):
        seen = (await newest(updates, UpdateKind.HEALTH)).to_json()
        await eventually(lambda: monitor.lag is not None, "the lag is seen")
        report = monitor.lag
        assert report is not None
        labels = {"group": group, "topic": topic, "partition": "0"}
        value = monitor.metrics.value
        assert value("arc_eval_pipeline_lag_messages", **labels) == 3
        assert value("arc_eval_pipeline_lag_seconds", **labels) > 0
        assert value("arc_eval_pipeline_workers", group=group) == 1
        state = next(each for each in report.partitions if each.lag_messages == 3).verdict.state
        shown = {name: value("arc_eval_pipeline_state", **labels, state=name.value) for name in LagState}
        assert shown == {name: float(name is state) for name in LagState}
        assert value("arc_eval_pipeline_stage_seconds", group=group, topic=topic, stage="emit_to_broker") >= 0
        assert value("arc_eval_pipeline_looked_timestamp_seconds", group=group) == pytest.approx(
            report.measured_at.timestamp(), abs=5
        )
        assert value("arc_eval_health_status", check="server") in (0, 1)
        assert value("arc_eval_health_value", check="server") > 0
        assert (seen["error"], seen["report"]["state"]) == (None, monitor.health and monitor.health.state)
        assert value("arc_eval_pipeline_looks_failed_total", group=group) == 0


async def test_a_look_that_fails_is_said_and_followed_by_the_next(database: DatabaseSettings, group: str) -> None:
    async with monitor_of(AWAY, database, group) as monitor, monitor.follow() as updates:
        failed = await newest(updates, UpdateKind.LAG)
        for name, labels in (
            ("arc_eval_pipeline_looked_timestamp_seconds", {"group": group}),
            ("arc_eval_health_looked_timestamp_seconds", {}),
        ):
            # So that it is alerted on, too, that nobody has ever seen anything.
            assert monitor.metrics.value(name, **labels) == pytest.approx(time.time(), abs=30)
        assert failed.to_json()["error"] == "Kafka did not answer while connecting: KafkaConnectionError"
        assert (monitor.lag, monitor.lag_look.looked_at) == (None, None)
        await newest(updates, UpdateKind.LAG)
        assert monitor.metrics.value("arc_eval_pipeline_looks_failed_total", group=group) >= 2


async def test_a_database_that_is_away_is_found_so(kafka_settings: KafkaSettings, group: str) -> None:
    away = DatabaseSettings.load(database_url="postgresql://nobody@127.0.0.1:1/none")
    async with monitor_of(kafka_settings, away, group, only_when_followed=True) as monitor:
        look = await monitor.fresh_health()
        assert (look.error, look.report and look.report.state) == (None, State.CRITICAL)
        assert monitor.metrics.value("arc_eval_health_status", check="server") == 2


async def test_nobody_looks_where_nobody_follows(database: DatabaseSettings, group: str) -> None:
    async with monitor_of(AWAY, database, group, only_when_followed=True, health_interval_s=0.1) as monitor:
        first = (await monitor.fresh_lag()).failed_at
        assert (await monitor.fresh_lag()).failed_at == first, "a failure is as good as any for its interval"
        failed = "arc_eval_pipeline_looks_failed_total"
        assert monitor.metrics.value(failed, group=group) == 1
        async with monitor.follow() as updates:
            assert (await newest(updates, UpdateKind.LAG)).look.failed_at == first, "the latest comes at once"
            await newest(updates, UpdateKind.LAG)
        assert monitor.metrics.value(failed, group=group) > 1


async def test_so_many_may_follow(database: DatabaseSettings, group: str) -> None:
    async with monitor_of(AWAY, database, group, listeners_max=1) as monitor:
        async with monitor.follow():
            with pytest.raises(TooManyListenersError, match="ARC_EVAL_MONITOR_LISTENERS_MAX"):
                await monitor.follow().__aenter__()
        async with monitor.follow():
            pass


async def test_a_slow_listener_has_only_the_newest_of_each_kind() -> None:
    updates = Updates()
    for number in range(1_000):
        updates.put(Update(UpdateKind.LAG, Look(error=str(number))))
    updates.put(Update(UpdateKind.HEALTH, Look(error="ill")))
    seen = [(update.kind, update.look.error) for update in (await updates.next(1), await updates.next(1)) if update]
    assert seen == [(UpdateKind.LAG, "999"), (UpdateKind.HEALTH, "ill")]
    assert await updates.next(0.01) is None


class Sight:
    """Looks as a test tells it to."""

    def __init__(self) -> None:
        self.looks = 0
        self.go_on = asyncio.Event()
        self.hangs = False
        self.told: list[Look[int]] = []

    async def see(self) -> int:
        self.looks += 1
        number = self.looks
        while self.hangs:  # as aiokafka does now and then: it swallows that it was cancelled
            with contextlib.suppress(asyncio.CancelledError):
                await self.go_on.wait()
                break
        return number

    async def wait(self) -> int:
        self.looks += 1
        await self.go_on.wait()
        return self.looks

    async def fail(self) -> int:
        raise ValueError("password=secret")


@pytest.fixture
async def sight() -> AsyncIterator[Sight]:
    made = Sight()
    yield made
    made.go_on.set()


async def test_one_look_at_a_time_however_many_ask(sight: Sight) -> None:
    looking = Looking("lag", sight.wait, 5, sight.told.append)
    asking = [asyncio.create_task(looking.look()) for _ in range(20)]
    await eventually(lambda: sight.looks == 1, "it looks")
    asking[0].cancel()
    sight.go_on.set()
    assert {(await each).report for each in asking[1:]} == {1}
    assert (sight.looks, len(sight.told)) == (1, 1)
    assert (await looking.fresh(60)).report == 1
    assert (await looking.fresh(0)).report == 2


async def test_a_look_that_hangs_does_not_stop_the_next(sight: Sight) -> None:
    looking = Looking("lag", sight.see, 0.02, sight.told.append)
    sight.hangs = True
    hung = await asyncio.wait_for(looking.look(), 10)
    assert "no answer within 0.02 s" in (hung.error or "")
    sight.hangs = False
    assert (await looking.look()).report == 2
    sight.go_on.set()
    await looking.close()


async def test_so_many_looks_may_hang(sight: Sight) -> None:
    looking = Looking("lag", sight.see, 0.01, sight.told.append)
    sight.hangs = True
    errors = [(await looking.look()).error or "" for _ in range(6)]
    assert sight.looks == 4
    assert "restart this process" in errors[-1]
    sight.go_on.set()
    await eventually(lambda: not looking._hung, "they have ended")
    sight.hangs = False
    assert (await looking.look()).report == 5
    await looking.close()


async def test_a_bug_in_a_look_is_a_look_that_failed(sight: Sight) -> None:
    looking = Looking("lag", sight.fail, 5, sight.told.append)
    assert (await looking.look()).error == "ValueError", "what others say may hold secrets"


async def test_what_is_gone_is_shown_no_more(
    kafka_settings: KafkaSettings, database: DatabaseSettings, group: str
) -> None:
    report = await seen_lag(kafka_settings, database, group)
    metrics = MonitorMetrics()
    shown = Shown(metrics)
    show_lag(shown, report)
    full, before = samples(metrics), replace(report, topics=[])
    assert len({sample for sample in full if "'partition': '1'" in sample}) > 3
    show_lag(shown, replace(report, topics=report.topics[:1], workers=None))
    assert {sample for sample in samples(metrics) if "topic" in sample} == of_topic(full, report.topics[0].topic)
    show_lag(shown, before)
    assert samples(metrics) == {f"arc_eval_pipeline_looked_timestamp_seconds{{'group': '{group}'}}"} | (
        {f"arc_eval_pipeline_workers{{'group': '{group}'}}"} if report.workers is not None else set()
    )
    assert isinstance(before, LagReport)


async def test_a_topic_that_is_gone_is_shown_to_be(
    kafka_settings: KafkaSettings, database: DatabaseSettings, group: str
) -> None:
    report = await seen_lag(kafka_settings, database, group)
    metrics = MonitorMetrics()
    shown = Shown(metrics)
    gone, there = (topic.topic for topic in report.topics[:2])

    def missing(topic: str) -> float:
        return metrics.value("arc_eval_pipeline_topic_missing", group=group, topic=topic)

    show_lag(shown, report)
    assert (missing(gone), missing(there)) == (0, 0)
    show_lag(shown, replace(report, topics=report.topics[1:], missing=[gone]))
    assert (missing(gone), missing(there)) == (1, 0)
    async with AlertRunner(AlertSettings(state_for_s=0), metrics.registry, name="monitor") as runner:
        await runner.evaluate()
        alerts = {alert.rule: dict(alert.labels) for alert in runner.alerts.open}
    assert alerts["ArcEvalTopicMissing"] == {"group": group, "topic": gone}
    show_lag(shown, report)
    assert (missing(gone), missing(there)) == (0, 0)


def test_a_check_that_is_unknown_is_left_out() -> None:
    metrics = MonitorMetrics()
    shown = Shown(metrics)

    def report(state: State, value: float | None) -> HealthReport:
        return HealthReport(NOW, "postgresql", (CheckResult("locks", state, value, "s", "found"),))

    show_health(shown, report(State.WARN, 3))
    assert metrics.value("arc_eval_health_status", check="locks") == 1
    assert metrics.value("arc_eval_health_value", check="locks") == 3
    show_health(shown, report(State.UNKNOWN, None))
    assert metrics.registry.get_sample_value("arc_eval_health_status", {"check": "locks"}) is None
    assert metrics.registry.get_sample_value("arc_eval_health_value", {"check": "locks"}) is None
    assert metrics.value("arc_eval_health_looked_timestamp_seconds") == NOW.timestamp()


def samples(metrics: MonitorMetrics) -> set[str]:
    """Those of the group, with their labels."""
    return {
        f"{sample.name}{sample.labels}"
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name.startswith("arc_eval_pipeline") and "group" in sample.labels
    }


def of_topic(found: set[str], topic: str) -> set[str]:
    return {sample for sample in found if f"'{topic}'" in sample}
