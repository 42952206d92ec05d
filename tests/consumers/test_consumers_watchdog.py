"""Liveness is progress: work that stands still is ended and started over, and what only waits is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
import structlog

from arc_eval_db.consumers import ConsumerSettings, Worker
from arc_eval_db.consumers.kafka import GroupSource
from arc_eval_db.consumers.kafka.errors import KafkaUnavailableError
from arc_eval_db.consumers.standby import StandbyCheck
from arc_eval_db.consumers.watchdog import StalledError, Watchdog
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.schemas.topics import TOOL_USED
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import TopicPartition
from support.conditions import eventually
from support.events import event
from support.log import send_events
from support.scripts import run_script

PARTITION = TopicPartition("t", 0)


def nothing() -> None:
    pass


async def test_work_that_ends_is_left_alone() -> None:
    done = False

    async def work() -> None:
        nonlocal done
        await asyncio.sleep(0)
        done = True

    await Watchdog(30).guard(work(), nothing)
    assert done


async def test_errors_of_the_work_go_through() -> None:
    async def work() -> None:
        raise KafkaUnavailableError

    with pytest.raises(KafkaUnavailableError):
        await Watchdog(30).guard(work(), nothing)


async def test_work_that_stands_still_is_ended_and_said_where() -> None:
    ended: list[str] = []

    async def inner() -> None:
        await asyncio.Event().wait()

    async def work() -> None:
        try:
            await inner()
        finally:
            ended.append("cancelled")

    with structlog.testing.capture_logs() as logs, pytest.raises(StalledError):
        await Watchdog(0.1).guard(work(), lambda: ended.append("let go"))
    assert ended == ["let go", "cancelled"]
    [entry] = [entry for entry in logs if entry["event"] == "worker_stalled"]
    assert [place.partition(":")[0].rpartition(".")[2] for place in entry["waiting_in"]] == ["work", "inner", "wait"]


async def test_work_that_moves_or_waits_on_purpose_goes_on() -> None:
    watchdog = Watchdog(0.2)

    async def work() -> None:
        for _ in range(5):
            await asyncio.sleep(0.1)
            watchdog.progress()
        watchdog.progress(pause_s=60)
        await asyncio.sleep(0.5)

    await watchdog.guard(work(), nothing)


async def test_work_that_is_cancelled_from_within_did_not_end() -> None:
    """A client that cancels a future of its own, which the work waits for, cancels the work."""

    async def work() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    with pytest.raises(StalledError, match="cancelled"):
        await Watchdog(30).guard(work(), nothing)


async def test_cancelling_the_guard_ends_the_work() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    guarding = asyncio.create_task(Watchdog(30).guard(work(), nothing))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    guarding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await guarding
    assert ended.is_set()


@pytest.mark.database
@pytest.mark.kafka
async def test_a_worker_whose_client_stopped_moving_starts_over(
    kafka_settings: KafkaSettings,
    database: DatabaseSettings,
    session: Session,
    group: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No time-out of the client's own ends this wait: it is the kind that nobody thought of."""
    polls = 0
    poll = GroupSource.poll

    async def stuck_once(source: GroupSource, *arguments: Any) -> Any:
        nonlocal polls
        polls += 1
        if polls == 3:
            await asyncio.Event().wait()
        return await poll(source, *arguments)

    monkeypatch.setattr(GroupSource, "poll", stuck_once)
    await send_events(kafka_settings, [event(TOOL_USED) for _ in range(10)])
    settings = ConsumerSettings.load(group=group, poll_timeout_s=0.1, session_timeout_s=6, stall_timeout_s=2)
    worker = Worker(kafka_settings, database, settings)
    running = asyncio.create_task(worker.run())

    async def all_there() -> bool:
        return bool(await session.fetch_value("SELECT count(*) FROM tool_usage") == 20)

    with structlog.testing.capture_logs() as logs:
        await eventually(lambda: worker.metrics.value("arc_eval_consumer_stalls_total") == 1, "it was noticed")
        await send_events(kafka_settings, [event(TOOL_USED) for _ in range(10)])
        await eventually(all_there, "it went on")
    worker.stop()
    await asyncio.wait_for(running, 30)
    assert "StalledError" in [entry.get("cause") for entry in logs]


def test_a_process_whose_event_loop_is_blocked_ends_and_says_where() -> None:
    script = """
import asyncio
from arc_eval_db.consumers.watchdog import ended_when_blocked
async def main():
    async with ended_when_blocked(3):
        await asyncio.sleep(0)
        print("a busy loop", flush=True)
        while True:
            pass
asyncio.run(main())
"""
    ended = run_script(script)
    assert (ended.code, ended.stdout) == (1, "a busy loop\n")
    assert "Timeout" in ended.stderr
    assert "in main" in ended.stderr


def test_the_watch_ends_with_its_block() -> None:
    script = """
import asyncio, time
from arc_eval_db.consumers.watchdog import ended_when_blocked
async def main():
    async with ended_when_blocked(0.2):
        await asyncio.sleep(0)
    time.sleep(1)
asyncio.run(main())
"""
    assert run_script(script).code == 0


@pytest.mark.parametrize(
    ("positions", "end", "forgotten"),
    [([5, 5], 9, True), ([5, 6], 9, False), ([9, 9], 9, False)],
    ids=["behind and still", "somebody reads", "caught up"],
)
async def test_a_worker_without_partitions(positions: list[int], end: int, forgotten: bool) -> None:
    check = StandbyCheck(0)
    left = iter(positions)

    async def stored() -> Mapping[TopicPartition, int]:
        return {PARTITION: next(left)}

    async def ends() -> Mapping[TopicPartition, int]:
        return {PARTITION: end}

    assert not await check.forgotten(False, stored, ends)
    assert await check.forgotten(False, stored, ends) is forgotten


async def test_where_joining_anew_does_not_help_it_is_tried_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a halted partition: each time the whole group pauses."""
    now = 0.0
    monkeypatch.setattr("arc_eval_db.consumers.standby.time.monotonic", lambda: now)

    async def stored() -> Mapping[TopicPartition, int]:
        return {PARTITION: 5}

    async def ends() -> Mapping[TopicPartition, int]:
        return {PARTITION: 9}

    check = StandbyCheck(10)
    times: list[float] = []
    for now in range(0, 440, 10):
        is_assigned = now == 400
        times += [now] * await check.forgotten(is_assigned, stored, ends)
    assert times == [20, 60, 140, 300, 430]


async def test_a_worker_with_partitions_asks_nobody() -> None:
    async def unwanted() -> Mapping[TopicPartition, int]:
        raise AssertionError("asked")

    assert not await StandbyCheck(0).forgotten(True, unwanted, unwanted)


async def test_patience_begins_with_the_first_look() -> None:
    async def unwanted() -> Mapping[TopicPartition, int]:
        raise AssertionError("asked")

    check = StandbyCheck(60)
    for _ in range(3):
        assert not await check.forgotten(False, unwanted, unwanted)
