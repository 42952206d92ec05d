"""The runner: a registry's metrics in, messages out, over restarts too."""

from __future__ import annotations

import asyncio
import math
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Gauge

from arc_eval_db.consumers.alerts import AlertRunner, AlertSettings, Rule
from arc_eval_db.consumers.alerts.state_file import StateFile, StateUnreadableError
from arc_eval_db.errors import SettingsError
from support.alert_receivers import HttpReceiver
from support.alert_rules import rule
from support.conditions import eventually


class Watched:
    """A registry with one gauge, and a runner over it whose clock the test moves."""

    def __init__(self, server: HttpReceiver, state_dir: Path | None = None, **settings: Any) -> None:
        self.registry = CollectorRegistry()
        self.gauge = Gauge("m", "A figure.", ["topic"], registry=self.registry)
        self.now = 1_700_000_000.0
        self.settings = AlertSettings.load(
            **{
                "webhook_url": server.url(),
                "source": "here",
                "state_dir": state_dir,
                "retry_s_max": 0.01,
                "interval_s": 600,
                "drain_s": 0.05,
            }
            | settings
        )

    def runner(self, *rules: Rule) -> AlertRunner:
        return AlertRunner(self.settings, self.registry, name="test", rules=rules or (rule(),), clock=lambda: self.now)


def statuses(server: HttpReceiver) -> list[str]:
    return [document["status"] for document in server.documents]


async def test_one_message_when_it_opens_and_one_when_it_is_resolved() -> None:
    async with HttpReceiver() as server:
        watched = Watched(server)
        async with watched.runner() as runner:
            for value in (11, 12, 8, 11):
                watched.gauge.labels(topic="a").set(value)
                await runner.evaluate()
            assert [alert.value for alert in runner.alerts.open] == [11]
            watched.gauge.labels(topic="a").set(1)
            watched.now += 60
            await runner.evaluate()
            await eventually(lambda: len(server.requests) == 2, "both were sent")
            assert runner.alerts.open == ()
            assert [alert.resolved_at for alert in runner.alerts.recent] == [watched.now]
        assert statuses(server) == ["open", "resolved"]
        assert server.documents[0]["labels"] == {"topic": "a"}
        assert runner.metrics.value("arc_eval_alerts_changes_total", rule="ArcEvalTest", change="open") == 1
        assert runner.metrics.value("arc_eval_alerts_open", rule="ArcEvalTest", severity="warning") == 0


async def test_rules_are_evaluated_at_intervals() -> None:
    async with HttpReceiver() as server:
        watched = Watched(server, interval_s=0.01)
        watched.gauge.labels(topic="a").set(11)
        async with watched.runner() as runner:
            await eventually(lambda: len(server.requests) == 1, "it is open")
            watched.gauge.remove("a")
            await eventually(lambda: len(server.requests) == 2, "it is resolved")
        assert runner.alerts.open == ()


async def test_an_evaluation_that_fails_is_counted_and_followed_by_others() -> None:
    async with HttpReceiver() as server:
        watched = Watched(server, interval_s=0.01)
        failing = iter([True, True])

        def read() -> float:
            return 1 / 0 if next(failing, False) else 11

        watched.gauge.labels(topic="a").set_function(read)
        async with watched.runner() as runner:
            await eventually(lambda: len(server.requests) == 1, "it is open")
            assert runner.metrics.value("arc_eval_alerts_evaluations_failed_total") == 2


async def test_a_restart_repeats_nothing_and_forgets_nothing(tmp_path: Path) -> None:
    async with HttpReceiver() as server:
        before = Watched(server, tmp_path)
        before.gauge.labels(topic="a").set(11)
        async with before.runner() as runner:
            await runner.evaluate()
            await eventually(lambda: len(server.requests) == 1, "it is open")
        after = Watched(server, tmp_path)
        async with after.runner() as runner:
            await runner.evaluate()  # nothing is measured yet
            after.gauge.labels(topic="a").set(9)
            await runner.evaluate()
            assert len(runner.alerts.open) == 1
            after.gauge.labels(topic="a").set(1)
            await runner.evaluate()
            await eventually(lambda: len(server.requests) == 2, "it is resolved")
        opened, resolved = server.documents
        assert (opened["status"], resolved["status"]) == ("open", "resolved")
        assert opened["key"] == resolved["key"]
        async with Watched(server, tmp_path).runner() as runner:
            assert [alert.resolved_at is not None for alert in runner.alerts.recent] == [True]


async def test_messages_that_were_not_taken_are_sent_by_the_next_process(tmp_path: Path) -> None:
    async with HttpReceiver() as server:
        nowhere = Watched(server, tmp_path, webhook_url="http://127.0.0.1:1/")
        nowhere.gauge.labels(topic="a").set(11)
        async with nowhere.runner() as runner:
            await runner.evaluate()
            nowhere.gauge.labels(topic="a").set(1)
            await runner.evaluate()
        assert server.requests == []
        async with Watched(server, tmp_path).runner():
            await eventually(lambda: len(server.requests) == 2, "both are there")
        assert statuses(server) == ["open", "resolved"]


async def test_an_alert_is_in_the_state_before_anybody_is_told(tmp_path: Path) -> None:
    async with HttpReceiver(b"never") as server:
        watched = Watched(server, tmp_path)
        watched.gauge.labels(topic="a").set(11)
        async with watched.runner() as runner:
            await runner.evaluate()
            await eventually(lambda: len(server.requests) == 1, "somebody is being told")
            kept = (tmp_path / "test.json").read_text()
            assert kept.count("ArcEvalTest") == 2, "once as open, once as a message on its way"
            assert stat.S_IMODE((tmp_path / "test.json").stat().st_mode) == 0o600


async def test_a_stop_in_the_middle_of_an_evaluation_loses_no_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, release = threading.Event(), threading.Event()
    write = StateFile.write

    def slow(file: StateFile, content: bytes) -> None:
        writing.set()
        assert release.wait(10)
        write(file, content)

    async with HttpReceiver() as server:
        watched = Watched(server, tmp_path, interval_s=0.01, drain_s=10)
        watched.gauge.labels(topic="a").set(11)
        monkeypatch.setattr(StateFile, "write", slow)
        async with watched.runner():
            await eventually(writing.is_set, "what opened is being written down")
            asyncio.get_running_loop().call_later(0.1, release.set)
        assert statuses(server) == ["open"]


async def test_a_figure_without_end_survives_a_restart(tmp_path: Path) -> None:
    async with HttpReceiver() as server:
        watched = Watched(server, tmp_path)
        watched.gauge.labels(topic="a").set(math.inf)
        async with watched.runner() as runner:
            await runner.evaluate()
        async with Watched(server, tmp_path).runner() as runner:
            assert [alert.value for alert in runner.alerts.open] == [math.inf]


async def test_one_process_at_a_time_has_the_state(tmp_path: Path) -> None:
    async with HttpReceiver() as server, Watched(server, tmp_path).runner():
        with pytest.raises(SettingsError, match="another process keeps"):
            await Watched(server, tmp_path).runner().__aenter__()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 2}', b'{"version": 1, "open": [{}]}'])
async def test_a_damaged_state_is_kept_aside(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "test.json").write_bytes(content)
    file = StateFile(tmp_path, "test")
    with pytest.raises(StateUnreadableError, match=r"test\.bad"):
        file.read()
    file.close()
    assert (tmp_path / "test.bad").read_bytes() == content
    (tmp_path / "test.json").write_bytes(content)
    async with HttpReceiver() as server:
        watched = Watched(server, tmp_path)
        watched.gauge.labels(topic="a").set(11)
        async with watched.runner() as runner:
            await runner.evaluate()
            await eventually(lambda: len(server.requests) == 1, "alerting goes on")


async def test_a_state_that_cannot_be_written_is_counted_and_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async with HttpReceiver() as server:
        watched = Watched(server, tmp_path)
        watched.gauge.labels(topic="a").set(11)
        async with watched.runner() as runner:
            monkeypatch.setattr(StateFile, "write", full)
            await runner.evaluate()
            await eventually(lambda: len(server.requests) == 1, "it is sent all the same")
            assert runner.metrics.value("arc_eval_alerts_state_writes_failed_total") >= 1


async def test_with_an_interval_of_nothing_nothing_is_evaluated(tmp_path: Path) -> None:
    async with HttpReceiver() as server:
        watched = Watched(server, tmp_path / "none", interval_s=0)
        watched.gauge.labels(topic="a").set(11)
        async with watched.runner() as runner:
            assert runner.alerts.open == ()
        assert not (tmp_path / "none").exists()
