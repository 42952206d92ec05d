"""The launcher's side: how a sandbox exited, said from outside, by real processes that end in every way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from arc_eval_db.consumers import ConsumerSettings, Worker
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.producers import (
    EmitterSettings,
    EventEmitter,
    MemoryTransport,
    ProducerSettings,
    SandboxExit,
    SupervisedSandbox,
    execution,
    report_exit,
    supervise,
)
from arc_eval_db.schemas import FailureRecordedEvent, ids
from arc_eval_db.settings import KafkaSettings
from support.conditions import eventually

CONFIGURATION = {"name": "careful", "model": "m1"}


@pytest.mark.parametrize(
    ("returncode", "out_of_memory", "exit_code", "name", "message"),
    [
        (0, None, 0, None, "exited with code 0"),
        (3, None, 3, None, "exited with code 3"),
        (3, True, 3, None, "exited with code 3, out of memory"),
        (-9, None, None, "SIGKILL", "ended by SIGKILL"),
        (-15, None, None, "SIGTERM", "ended by SIGTERM"),
        (-11, False, None, "SIGSEGV", "ended by SIGSEGV"),
        (-50, None, None, "signal 50", "ended by signal 50"),
        (137, None, 137, "SIGKILL", "ended by SIGKILL"),
        (137, True, 137, "SIGKILL", "ended by SIGKILL, out of memory"),
        (143, None, 143, "SIGTERM", "ended by SIGTERM"),
        (124, None, 124, None, "exited with code 124, which is what Modal and timeout(1) give after a time-out"),
        (128, None, 128, None, "exited with code 128"),
        (255, None, 255, None, "exited with code 255"),
        (3221225477, None, 3221225477, None, "exited with code 3221225477"),
    ],
)
def test_what_return_codes_mean(
    returncode: int, out_of_memory: bool | None, exit_code: int | None, name: str | None, message: str
) -> None:
    exited = SandboxExit.from_returncode(returncode, out_of_memory=out_of_memory)
    assert exited == SandboxExit(exit_code, name, out_of_memory)
    assert exited.message == message
    assert exited.is_success == (returncode == 0)


def report(returncode: int, **options: Any) -> ids.ExecutionId:
    execution_id = ids.new_execution_id()
    report_exit(
        returncode,
        execution_id=execution_id,
        scenario="refund-flow",
        configuration=CONFIGURATION,
        simulation="nightly",
        **options,
    )
    return execution_id


def only_failure(memory: MemoryTransport) -> FailureRecordedEvent:
    [failure] = memory.events()
    assert isinstance(failure, FailureRecordedEvent)
    return failure


def test_the_event_says_whose_exit_it_was(emitter: EventEmitter, memory: MemoryTransport) -> None:
    execution_id = report(137, out_of_memory=True, stderr_tail="last words", emitter=emitter)
    emitter.flush(2)
    failure = only_failure(memory)
    assert (failure.subject, int(failure.sequence)) == (execution_id, 0)
    assert (failure.data.kind, failure.data.message) == ("sandbox_exited", "ended by SIGKILL, out of memory")
    assert failure.data.details == {
        "exit_code": 137,
        "signal": "SIGKILL",
        "out_of_memory": True,
        "stderr_tail": "last words",
    }
    assert failure.data.configuration_version_id == ids.configuration_version_id(CONFIGURATION)
    assert failure.data.scenario_id == ids.scenario_id("refund-flow")
    assert failure.data.simulation_id == ids.simulation_id("nightly")


def test_an_ordinary_exit_says_nothing(emitter: EventEmitter, memory: MemoryTransport) -> None:
    report(0, emitter=emitter)
    emitter.flush(2)
    assert memory.records == []


def test_it_does_not_count_among_the_executions_own_events(emitter: EventEmitter, memory: MemoryTransport) -> None:
    execution_id = ids.new_execution_id()
    with execution("refund-flow", CONFIGURATION, emitter=emitter, execution_id=execution_id) as run:
        report_exit(-9, execution_id=execution_id, scenario="refund-flow", configuration={}, emitter=emitter)
        run.progress("not as dead as it seemed")
    assert [int(event.sequence) for event in memory.events()] == [1, 0, 2, 3]


def test_nobody_waits_longer_than_the_setting_for_a_broker_that_never_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        monkeypatch.setenv("ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{listener.getsockname()[1]}")
        monkeypatch.setenv("ARC_EVAL_CLOSE_TIMEOUT_S", "0.5")
        started = time.monotonic()
        report(-9)
        assert time.monotonic() - started < 5


def test_a_wrong_setting_does_not_reach_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARC_EVAL_TRANSPORT", "pigeon")
    report(-9)


async def sandbox(script: str, emitter: EventEmitter | None, **options: Any) -> SupervisedSandbox:
    arguments: dict[str, Any] = {
        "execution_id": ids.new_execution_id(),
        "scenario": "refund-flow",
        "configuration": CONFIGURATION,
        "emitter": emitter,
        "stdout": asyncio.subprocess.DEVNULL,
    }
    return await supervise([sys.executable, "-S", "-c", script], **{**arguments, **options})


@pytest.mark.parametrize(
    ("script", "message", "details"),
    [
        ("raise SystemExit(3)", "exited with code 3", {"exit_code": 3, "signal": None}),
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL", {"exit_code": None, "signal": "SIGKILL"}),
        ("import os; os.kill(os.getpid(), 15)", "ended by SIGTERM", {"exit_code": None, "signal": "SIGTERM"}),
        ("raise SystemExit(137)", "ended by SIGKILL", {"exit_code": 137, "signal": "SIGKILL"}),
        ("raise SystemExit(143)", "ended by SIGTERM", {"exit_code": 143, "signal": "SIGTERM"}),
    ],
)
async def test_real_processes(
    script: str, message: str, details: dict[str, Any], emitter: EventEmitter, memory: MemoryTransport
) -> None:
    ended = await sandbox(script, emitter, cgroup=Path("/nowhere"))
    await emitter.flush_async(2)
    failure = only_failure(memory)
    assert failure.data.message == message
    assert failure.data.details == {**details, "out_of_memory": None}
    assert ended.report is not None
    assert ended.report.event_id == failure.id


async def test_what_a_shell_says_of_its_child(emitter: EventEmitter, memory: MemoryTransport) -> None:
    ended = await sandbox("import os; os.execl('/bin/sh', 'sh', '-c', \"sh -c 'kill -9 $$'; exit $?\")", emitter)
    await emitter.flush_async(2)
    assert (ended.returncode, only_failure(memory).data.message) == (137, "ended by SIGKILL")


async def test_an_ordinary_end_is_not_reported(emitter: EventEmitter, memory: MemoryTransport) -> None:
    assert (await sandbox("", emitter)).report is None
    ended = await sandbox("raise SystemExit(1)", emitter, ordinary_codes=(0, 1))
    assert (ended.returncode, ended.report) == (1, None)
    await emitter.flush_async(2)
    assert memory.records == []


DIES_WHILE_THE_KERNEL_COUNTS = """
import os, pathlib
pathlib.Path({file!r}).write_text("low 0\\nhigh 0\\nmax 9\\noom {kills}\\noom_kill {kills}\\noom_group_kill 0\\n")
{end}
"""


@pytest.mark.parametrize(
    ("kills", "end", "out_of_memory"),
    [
        (5, "os.kill(os.getpid(), 9)", True),
        (4, "os.kill(os.getpid(), 9)", False),
        (5, "raise SystemExit(137)", True),
        (5, "raise SystemExit(3)", None),
    ],
)
async def test_out_of_memory_is_what_the_kernel_counted(
    kills: int, end: str, out_of_memory: bool | None, emitter: EventEmitter, tmp_path: Path
) -> None:
    """A file of the cgroup's form: to make the kernel kill for memory takes a cgroup that a test may not have."""
    file = tmp_path / "memory.events"
    file.write_text("oom 4\noom_kill 4\n")
    script = DIES_WHILE_THE_KERNEL_COUNTS.format(file=str(file), kills=kills, end=end)
    ended = await sandbox(script, emitter, cgroup=tmp_path)
    assert ended.report is not None
    assert ended.report.exit.out_of_memory is out_of_memory


async def test_who_overstays_is_killed_with_all_it_started(
    emitter: EventEmitter, memory: MemoryTransport, tmp_path: Path
) -> None:
    file = tmp_path / "pid"
    script = f"import os; os.execl('/bin/sh', 'sh', '-c', 'sleep 600 & echo $! > {file}; wait')"
    ended = await sandbox(script, emitter, deadline_s=4.0, cgroup=tmp_path)
    child = int(file.read_text())
    await emitter.flush_async(2)
    assert ended.overstayed
    assert only_failure(memory).data.message == "ended by SIGKILL, past its deadline of 4 s"
    assert only_failure(memory).data.details["out_of_memory"] is False
    await eventually(lambda: not is_running(child), "what it started is killed too")


async def test_stderr_is_kept_and_reported_only_when_asked(emitter: EventEmitter, memory: MemoryTransport) -> None:
    script = "import sys; sys.stderr.write('x' * 1_000_000 + 'last words'); sys.exit(3)"
    ended = await sandbox(script, emitter)
    assert (ended.stderr_tail[-11:], len(ended.stderr_tail)) == ("xlast words", 4096)
    await sandbox(script, emitter, report_stderr=True)
    await emitter.flush_async(2)
    details = [event.data.details for event in memory.events() if isinstance(event, FailureRecordedEvent)]
    assert ["stderr_tail" in each for each in details] == [False, True]


async def test_a_grandchild_that_keeps_stderr_open_holds_nothing_up(emitter: EventEmitter) -> None:
    script = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
print(child.pid, file=sys.stderr, flush=True)
sys.exit(3)
"""
    ended = await asyncio.wait_for(sandbox(script, emitter), 20)
    child = int(ended.stderr_tail)
    assert (ended.returncode, is_running(child)) == (3, True)
    os.kill(child, signal.SIGKILL)


async def test_cancelling_leaves_nothing_running(
    emitter: EventEmitter, memory: MemoryTransport, tmp_path: Path
) -> None:
    fifo = tmp_path / "pid"
    os.mkfifo(fifo)
    script = f"import os, time; print(os.getpid(), file=open({str(fifo)!r}, 'w'), flush=True); time.sleep(600)"
    task = asyncio.create_task(sandbox(script, emitter))
    pid = int(await asyncio.to_thread(fifo.read_text))
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert not is_running(pid)
    await emitter.flush_async(2)
    assert memory.records == []


async def test_without_an_emitter_one_is_made_and_closed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    monkeypatch.setenv("ARC_EVAL_TRANSPORT", "file")
    monkeypatch.setenv("ARC_EVAL_EVENTS_FILE", str(file))
    await sandbox("raise SystemExit(3)", None)
    await asyncio.to_thread(report, -9)
    assert file.read_text().count('"sandbox_exited"') == 2


async def test_what_is_wrong_is_said_before_anything_is_started(emitter: EventEmitter, tmp_path: Path) -> None:
    mark = tmp_path / "started"
    with pytest.raises(TypeError, match="configuration"):
        await sandbox(f"open({str(mark)!r}, 'w')", emitter, configuration="careful")
    with pytest.raises(OSError, match="nowhere"):
        await supervise(
            ["/nowhere/agent"],
            execution_id=ids.new_execution_id(),
            scenario="refund-flow",
            configuration={},
            emitter=emitter,
        )
    assert not mark.exists()


def is_running(pid: int) -> bool:
    """A killed process whose parent is gone stays a zombie where nobody reaps; it runs no more."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


KILLED_WHILE_IT_WORKS = """
import os, sys, uuid
from arc_eval_db.producers import EventEmitter, execution
with EventEmitter() as emitter:
    with execution("refund-flow", {"name": "careful", "model": "m1"}, emitter=emitter,
                   execution_id=uuid.UUID(sys.argv[1])) as run:
        run.progress("at work")
        if sys.argv[2] == "killed":
            emitter.flush(30)
            os.kill(os.getpid(), 9)
    emitter.flush(30)
sys.exit(3)
"""


@pytest.mark.database
@pytest.mark.kafka
async def test_through_kafka_into_the_database(
    kafka_settings: KafkaSettings, database: DatabaseSettings, session: Session, group: str
) -> None:
    """One sandbox is killed, another completes and then exits with 3: each has one failure, none has two ends."""
    assert kafka_settings.bootstrap_servers is not None
    variables = {
        "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers,
        "ARC_EVAL_TOPIC_PREFIX": kafka_settings.topic_prefix,
    }
    settings = ProducerSettings(EmitterSettings(transport="kafka"), kafka_settings, "/launcher", None)
    killed, completed = ids.new_execution_id(), ids.new_execution_id()
    async with EventEmitter(settings=settings) as emitter:
        for execution_id, how in ((killed, "killed"), (completed, "completed")):
            ended = await supervise(
                [sys.executable, "-c", KILLED_WHILE_IT_WORKS, str(execution_id), how],
                execution_id=execution_id,
                scenario="refund-flow",
                configuration=CONFIGURATION,
                environment={**os.environ, **variables},
                emitter=emitter,
            )
            assert ended.report is not None, ended.stderr_tail
        assert (await emitter.flush_async(30)).complete
    consumer = ConsumerSettings.load(group=group, poll_timeout_s=0.1)
    counted = await Worker(kafka_settings, database, consumer, until_caught_up=True).run()
    assert (counted.inserted, counted.dead_letters) == (7, 0)
    failures = await session.fetch("SELECT execution_id, kind, message, sequence FROM failures ORDER BY time")
    assert [tuple(row.values()) for row in failures] == [
        (killed, "sandbox_exited", "ended by SIGKILL", 0),
        (completed, "sandbox_exited", "exited with code 3", 0),
    ]
    outcomes = await session.fetch("SELECT execution_id, status FROM outcomes")
    assert [tuple(row.values()) for row in outcomes] == [(completed, "succeeded")]
    [complete] = await session.fetch("SELECT emitted, stored, outstanding, is_complete FROM execution_completeness")
    assert tuple(complete.values()) == (3, 3, 0, True)
