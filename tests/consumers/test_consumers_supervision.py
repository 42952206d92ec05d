"""What a supervisor says of its workers, from what they say and how they end."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from typing import get_args

import pytest

from arc_eval_db.consumers.heartbeat import Heartbeat, HeartbeatReader, send_heartbeats
from arc_eval_db.consumers.http import SupervisorProbe
from arc_eval_db.consumers.pulse import Pulse
from arc_eval_db.consumers.supervision import SOUND_S, SupervisedWorker
from arc_eval_db.consumers.supervisor_metrics import SUPERVISOR_METRICS, SupervisorMetricName, SupervisorMetrics
from support.conditions import eventually

LIMIT_S = 30.0
MOVES = Heartbeat("reading", 0.0, False, None)


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


@pytest.fixture
def metrics() -> SupervisorMetrics:
    return SupervisorMetrics()


@pytest.fixture
def worker(clock: Clock, metrics: SupervisorMetrics) -> SupervisedWorker:
    worker = SupervisedWorker(0, metrics)
    worker.started(123)
    return worker


def test_every_metric_is_defined_once() -> None:
    assert [metric.name for metric in SUPERVISOR_METRICS] == list(get_args(SupervisorMetricName))


def test_a_worker_that_falls_silent_is_named(
    worker: SupervisedWorker, clock: Clock, metrics: SupervisorMetrics
) -> None:
    probe = SupervisorProbe([worker], LIMIT_S, lambda: False)
    worker.heard(MOVES)
    clock.now += LIMIT_S
    assert probe.health().status == 200
    age = "arc_eval_supervisor_worker_progress_age_seconds"
    assert metrics.value(age, worker="0") == LIMIT_S, "computed when it is read"
    clock.now += 1
    answer = probe.health()
    assert answer.status == 503
    assert b"worker 0: it has not said for 31 s that it moves; it was last reading" in answer.body
    assert b"kill -CONT 123" in answer.body
    worker.heard(MOVES)
    assert probe.health().status == 200
    assert metrics.value(age, worker="0") == 0


def test_to_say_something_is_not_to_move(worker: SupervisedWorker, clock: Clock) -> None:
    began_at = clock.now
    for overdue_s in (0, 10, 20, 30, 31):
        clock.now = began_at + overdue_s
        worker.heard(Heartbeat("writing a batch", overdue_s, False, None))
    trouble = worker.trouble(LIMIT_S)
    assert trouble is not None
    assert "writing a batch" in trouble.reason


def test_to_wait_for_a_server_is_to_move(worker: SupervisedWorker, clock: Clock) -> None:
    for _ in range(100):
        clock.now += 1
        worker.heard(Heartbeat("waiting for the database", 0.0, True, None))
    assert worker.trouble(LIMIT_S) is None
    assert worker.fields(LIMIT_S)["paused"] is True


def test_a_worker_that_is_restarted_again_and_again_is_named(
    worker: SupervisedWorker, clock: Clock, metrics: SupervisorMetrics
) -> None:
    for number in range(3):
        assert worker.trouble(LIMIT_S) is None
        clock.now += 2
        worker.ended("SIGKILL", for_good=False)
        assert metrics.value("arc_eval_supervisor_worker_up", worker="0") == 0
        worker.started(200 + number)
        worker.heard(MOVES)
    trouble = worker.trouble(LIMIT_S)
    assert trouble is not None
    assert "3 times in a row" in trouble.reason
    assert "SIGKILL" in trouble.reason
    assert metrics.value("arc_eval_supervisor_worker_restarts_total", worker="0") == 3
    assert metrics.value("arc_eval_supervisor_worker_up", worker="0") == 1
    clock.now += SOUND_S
    worker.heard(MOVES)
    assert worker.trouble(LIMIT_S) is None, "it has stayed"
    worker.ended("1", for_good=False)
    worker.started(300)
    assert worker.trouble(LIMIT_S) is None, "what was before it stayed does not count"


def test_a_worker_that_does_not_come_back_is_named(worker: SupervisedWorker, clock: Clock) -> None:
    worker.ended("1", for_good=False)
    assert worker.unready == "it is being started"
    clock.now += LIMIT_S + 1
    trouble = worker.trouble(LIMIT_S)
    assert trouble is not None
    assert trouble.reason == "it has not run for 31 s; it ended with 1"


def test_one_that_has_ended_well_is_not_missed(
    worker: SupervisedWorker, clock: Clock, metrics: SupervisorMetrics
) -> None:
    worker.ended("0", for_good=True)
    clock.now += 1_000
    assert worker.fields(LIMIT_S)["status"] == "ended"
    assert metrics.value("arc_eval_supervisor_worker_progress_age_seconds", worker="0") == 0
    assert SupervisorProbe([worker], LIMIT_S, lambda: False).readiness().status == 200


def test_all_must_be_ready(worker: SupervisedWorker, metrics: SupervisorMetrics) -> None:
    probe = SupervisorProbe([worker], LIMIT_S, lambda: False)
    assert b"worker 0: it is being started" in probe.readiness().body
    worker.heard(Heartbeat("joining the group", 0, False, "it is no member of its group yet"))
    assert b"worker 0: it is no member" in probe.readiness().body
    worker.heard(MOVES)
    assert probe.readiness().status == 200
    draining = SupervisorProbe([worker], LIMIT_S, lambda: True).readiness()
    assert (draining.status, b"told to stop" in draining.body) == (503, True)


@pytest.fixture
async def heard() -> AsyncIterator[tuple[list[Heartbeat], HeartbeatReader]]:
    found: list[Heartbeat] = []
    reader = HeartbeatReader(found.append)
    yield found, reader
    reader.close()


async def test_heartbeats_go_through_a_pipe(heard: tuple[list[Heartbeat], HeartbeatReader]) -> None:
    found, reader = heard
    pulse = Pulse()
    pulse.moved("reading", allowed_s=60)
    saying = asyncio.create_task(send_heartbeats(reader.other_end, pulse, 0.005))
    await eventually(lambda: len(found) >= 3, "it says so again and again")
    assert found[0] == Heartbeat("reading", 0.0, False, "it is no member of its group yet")
    saying.cancel()
    await asyncio.wait({saying})
    os.close(reader.other_end)
    await eventually(lambda: reader._file == -1, "the end is noticed")


async def test_nobody_waits_for_a_reader_that_is_slow(heard: tuple[list[Heartbeat], HeartbeatReader]) -> None:
    found, reader = heard
    os.set_blocking(reader.other_end, False)
    asyncio.get_running_loop().remove_reader(reader._file)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(reader.other_end, b"x" * 4_096)
    saying = asyncio.create_task(send_heartbeats(reader.other_end, Pulse(), 0.001))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not saying.done()
    asyncio.get_running_loop().add_reader(reader._file, reader._read)
    await eventually(lambda: bool(found), "it is heard again")
    saying.cancel()
    os.close(reader.other_end)


async def test_what_is_no_heartbeat_is_passed_over(heard: tuple[list[Heartbeat], HeartbeatReader]) -> None:
    found, reader = heard
    os.write(reader.other_end, b'nonsense\n{"doing":1}\n[]\nnull\n')
    os.write(reader.other_end, b"y" * 60_000)
    os.close(reader.other_end)
    await eventually(lambda: reader._file == -1, "all is read")
    assert found == []
    assert len(reader._unfinished) <= 4_096


async def test_a_worker_whose_supervisor_is_gone_goes_on(heard: tuple[list[Heartbeat], HeartbeatReader]) -> None:
    _, reader = heard
    reader.close()
    await asyncio.wait_for(send_heartbeats(reader.other_end, Pulse(), 0.001), 10)
    os.close(reader.other_end)
