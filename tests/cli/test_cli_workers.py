"""`consume --workers`: processes that share a group, are replaced when they die, and end together."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import psutil
import pytest

from arc_eval_db.database import DatabaseSettings
from arc_eval_db.schemas.topics import TOOL_USED
from arc_eval_db.settings import KafkaSettings
from support.alert_receivers import HttpReceiver
from support.conditions import eventually
from support.databases import connect
from support.events import event
from support.http import get
from support.log import send_events

pytestmark = [pytest.mark.kafka, pytest.mark.database]

Start = Callable[..., Coroutine[Any, Any, Process]]


@pytest.fixture
async def start(kafka_settings: KafkaSettings, database: DatabaseSettings, group: str) -> AsyncIterator[Start]:
    """Starts `consume` with more arguments and variables."""
    started: list[Process] = []

    async def start(*arguments: str, **environment: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "arc_eval_db.cli", "consume", "--group", group, *arguments),
            env={
                **os.environ,
                "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers or "",
                "ARC_EVAL_TOPIC_PREFIX": kafka_settings.topic_prefix,
                "ARC_EVAL_DATABASE_URL": database.database_url.get_secret_value(),
                "ARC_EVAL_CONSUMER_SESSION_TIMEOUT_S": "2",
                **environment,
            },
            stdout=PIPE,
            stderr=PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


def workers_of(process: Process) -> list[psutil.Process]:
    return alive(psutil.Process(process.pid).children())


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Without those that are dead and not yet noticed."""
    return [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


async def stored(database: DatabaseSettings) -> tuple[int, int]:
    """Rows, and different events among them."""
    async with await connect(database) as session:
        [row] = await session.fetch("SELECT count(*) AS rows, count(DISTINCT event_id) AS events FROM tool_usage")
        return row["rows"], row["events"]


async def ended(process: Process) -> tuple[str, list[dict[str, Any]]]:
    """What it printed, and what it and its workers logged."""
    stdout, stderr = await asyncio.wait_for(process.communicate(), 40)
    return stdout.decode(), [json.loads(line) for line in stderr.decode().splitlines() if line.startswith("{")]


async def test_workers_share_what_there_is(
    start: Start, kafka_settings: KafkaSettings, database: DatabaseSettings
) -> None:
    await send_events(kafka_settings, [event(TOOL_USED) for _ in range(300)])
    process = await start("--workers", "2", "--until-caught-up", "--json")
    stdout, logged = await ended(process)
    assert process.returncode == 0, logged
    report = json.loads(stdout)
    assert (report["records"], report["inserted"], report["caught_up"]) == (300, 300, True)
    assert await stored(database) == (300, 300)
    assert {line["worker"] for line in logged if line["event"] == "worker_stopped"} == {0, 1}


async def test_a_worker_that_dies_is_replaced(
    start: Start, kafka_settings: KafkaSettings, database: DatabaseSettings
) -> None:
    process = await start("--workers", "2", "--metrics-port", "0", ARC_EVAL_CONSUMER_INSTANCE_ID="pod")
    await eventually(lambda: len(workers_of(process)) == 2, "both run")
    victim = workers_of(process)[0]
    victim.kill()
    await eventually(
        lambda: len({worker.pid for worker in workers_of(process)} - {victim.pid}) == 2, "another was started"
    )
    await send_events(kafka_settings, [event(TOOL_USED) for _ in range(100)])

    async def all_there() -> bool:
        return await stored(database) == (100, 100)

    await eventually(all_there, "everything is written", timeout_s=60)
    children = workers_of(process)
    process.send_signal(signal.SIGTERM)
    stdout, logged = await ended(process)
    assert (process.returncode, stdout.split(" records")[0]) == (0, "100"), logged
    [death] = [line for line in logged if line["event"] == "worker_process_ended"]
    assert (death["exit"], death["worker"] in (0, 1)) == ("SIGKILL", True)
    await eventually(lambda: not alive(children), "they have ended")


@pytest.fixture
async def alerted() -> AsyncIterator[HttpReceiver]:
    """Who is told of alerts."""
    async with HttpReceiver() as server:
        yield server


async def test_a_worker_that_is_stopped_makes_its_supervisor_unwell(
    start: Start, kafka_settings: KafkaSettings, database: DatabaseSettings, alerted: HttpReceiver
) -> None:
    port = free_ports(3)
    process = await start(
        *("--workers", "2", "--http-port", str(port)),
        ARC_EVAL_CONSUMER_SILENCE_LIMIT_S="3",
        ARC_EVAL_CONSUMER_SESSION_TIMEOUT_S="30",
        ARC_EVAL_CONSUMER_LAG_SAMPLE_INTERVAL_S="0",
        ARC_EVAL_ALERT_WEBHOOK_URL=alerted.url(),
        ARC_EVAL_ALERT_INTERVAL_S="0.1",
        ARC_EVAL_ALERT_WORKER_STUCK_S="4",
        ARC_EVAL_ALERT_WORKER_STUCK_RESOLVE_S="2",
    )
    await eventually(lambda: answers(port, "/readyz") == 200, "all are ready")
    assert answers(port, "/healthz") == 200
    assert [answers(port + 1 + number, "/readyz") for number in range(2)] == [200, 200]
    await send_events(kafka_settings, [event(TOOL_USED) for _ in range(50)])
    victim = workers_of(process)[1]
    # Of a worker that took long to start, somebody may have been told already.
    await eventually(lambda: len(of_worker(alerted, "1")) % 2 == 0, "nothing is open")
    known = len(of_worker(alerted, "1"))
    victim.suspend()
    await send_events(kafka_settings, [event(TOOL_USED) for _ in range(50)])
    await eventually(lambda: answers(port, "/healthz") == 503, "it is missed")
    said = get(port, "/healthz").json
    assert [(each["worker"], each["pid"]) for each in said["workers"] if each["status"] == "failing"] == [
        (said["workers"][1]["worker"], victim.pid)
    ]
    assert f"kill -CONT {victim.pid}" in said["workers"][1]["next_step"]
    shown = get(port, "/metrics").body.decode()
    assert 'arc_eval_supervisor_worker_up{worker="1"} 1.0' in shown
    assert float(shown.split('progress_age_seconds{worker="1"} ')[1].split()[0]) > 3
    await eventually(lambda: len(of_worker(alerted, "1")) > known, "somebody is told")
    victim.resume()
    await eventually(lambda: answers(port, "/healthz") == 200, "it moves again")

    async def all_there() -> bool:
        return await stored(database) == (100, 100)

    await eventually(all_there, "everything is written, once", timeout_s=60)
    assert get(port, "/api/lag").json["lag_messages"] == 0
    process.send_signal(signal.SIGTERM)
    stdout, logged = await ended(process)
    assert (process.returncode, stdout.split(" records")[0]) == (0, "100"), logged
    opened, resolved = of_worker(alerted, "1")[known:]
    assert (opened["status"], opened["rule"]) == ("open", "ArcEvalWorkerStuck")
    assert (resolved["status"], resolved["key"]) == ("resolved", opened["key"])


def of_worker(alerted: HttpReceiver, number: str) -> list[Any]:
    """What was said of one worker."""
    return [document for document in alerted.documents if document["labels"] == {"worker": number}]


def answers(port: int, path: str) -> int | None:
    """The status; None while nobody listens."""
    try:
        return get(port, path).status
    except ConnectionRefusedError:
        return None


def free_ports(count: int) -> int:
    """The first of so many in a row that nobody listens on."""
    while True:
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                for number in range(1, count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port + number))
            except (OSError, OverflowError):
                continue
            return port


async def test_workers_end_with_the_process_that_started_them(start: Start) -> None:
    process = await start("--workers", "2")
    await eventually(lambda: len(workers_of(process)) == 2, "both run")
    children = workers_of(process)
    process.kill()
    _, logged = await ended(process)  # their standard error is the same
    await eventually(lambda: not alive(children), "they have ended")
    assert sum(line["event"] == "worker_stopped" for line in logged) == 2


async def test_what_needs_a_person_ends_all(start: Start, empty_database: DatabaseSettings) -> None:
    process = await start("--workers", "2", ARC_EVAL_DATABASE_URL=empty_database.database_url.get_secret_value())
    stdout, stderr = await asyncio.wait_for(process.communicate(), 40)
    assert process.returncode == 1
    assert stdout == b""
    assert b"arc-eval-db migrate up" in stderr
    assert b"a worker has ended and needs help" in stderr
    assert b"worker_process_ended" not in stderr, "it was not tried again"
