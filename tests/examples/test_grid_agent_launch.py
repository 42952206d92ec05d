"""Sandboxes as real processes: exit codes, deadline, limits, and what is left running (nothing)."""

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path

import pytest

from arc_eval_db.schemas import ids
from grid_agent import sandbox
from grid_agent.configurations import SHALLOW_GREEDY, WIDE_BEAM
from grid_agent.launch import FinishedSandbox, launch
from grid_agent.puzzles import make_puzzle

NOWHERE = {"ARC_EVAL_TRANSPORT": "none"}


def stub(tmp_path: Path, body: str) -> list[str]:
    """A command that runs `body` with `puzzle` (a number) and `configuration` (a name) set."""
    file = tmp_path / "stub.py"
    arguments = "puzzle, configuration = int(sys.argv[sys.argv.index('--puzzle') + 1]), sys.argv[-1]"
    file.write_text(f"import os, sys, time\nfrom pathlib import Path\n{arguments}\n{body}\n")
    return [sys.executable, "-S", str(file)]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_real_sandboxes_report_what_happened(tmp_path: Path) -> None:
    events_file = tmp_path / "events.jsonl"
    environment = {"ARC_EVAL_TRANSPORT": "file", "ARC_EVAL_EVENTS_FILE": str(events_file)}
    seen: list[FinishedSandbox] = []
    summary = await launch(
        2, simulation="test", environment=environment, on_finish=seen.append, configurations=["shallow-greedy"]
    )
    assert summary.finished == tuple(seen)
    assert {run.outcome for run in seen} <= {"solved", "unsolved"}, [run.stderr for run in seen]
    events = [json.loads(line) for line in events_file.read_text().splitlines()]
    ends = [event["data"] for event in events if event["type"] == "arc_eval.execution.completed.v1"]
    assert sum(end["status"] == "succeeded" for end in ends) == summary.outcomes("shallow-greedy")["solved"]
    starts = [event["data"] for event in events if event["type"] == "arc_eval.execution.started.v1"]
    assert {(start["scenario"], start["simulation"]) for start in starts} == {
        ("grid-0000", "test"),
        ("grid-0001", "test"),
    }
    assert starts[0]["configuration"] == SHALLOW_GREEDY.to_dict()
    assert {event["subject"] for event in events} == {str(run.execution_id) for run in seen}


async def test_wrong_arguments_count_as_a_crash() -> None:
    summary = await launch(1, simulation="test", environment=NOWHERE, configurations=["no-such-configuration"])
    [only] = summary.finished
    assert (only.exit_code, only.outcome) == (2, "crashed")
    assert "no-such-configuration" in only.stderr


async def test_exit_codes_are_told_apart(tmp_path: Path) -> None:
    command = stub(tmp_path, "sys.exit(puzzle if configuration == 'one' else 3)")
    summary = await launch(3, simulation="test", environment={}, configurations=["one", "two"], command=command)
    assert summary.outcomes("one") == {"solved": 1, "unsolved": 1, "crashed": 1}
    assert summary.outcomes("two") == {"crashed": 3}
    assert not any(run.overstayed for run in summary.finished)


async def test_who_overstays_is_killed(tmp_path: Path) -> None:
    command = stub(tmp_path, "sys.exit(0) if puzzle else time.sleep(600)")
    summary = await launch(
        2, simulation="test", environment={}, configurations=["one"], deadline_s=2.0, command=command
    )
    ends = {run.puzzle: (run.outcome, run.overstayed) for run in summary.finished}
    assert ends == {0: ("killed", True), 1: ("solved", False)}


async def test_a_killed_or_crashed_sandbox_is_reported_from_outside(tmp_path: Path) -> None:
    events_file = tmp_path / "events.jsonl"
    environment = {"ARC_EVAL_TRANSPORT": "file", "ARC_EVAL_EVENTS_FILE": str(events_file)}
    command = stub(tmp_path, "os.kill(os.getpid(), 9) if puzzle == 0 else sys.exit(puzzle)")
    summary = await launch(4, simulation="test", environment=environment, configurations=["wide-beam"], command=command)
    assert summary.outcomes("wide-beam") == {"killed": 1, "unsolved": 1, "crashed": 2}
    events = {event["subject"]: event for event in map(json.loads, events_file.read_text().splitlines())}
    assert {event["data"]["message"] for event in events.values()} == {
        "ended by SIGKILL",
        "exited with code 2",
        "exited with code 3",
    }
    [killed] = [sandbox for sandbox in summary.finished if sandbox.outcome == "killed"]
    event = events[str(killed.execution_id)]
    assert event["data"]["scenario_id"] == str(ids.scenario_id("grid-0000"))
    assert event["data"]["configuration_version_id"] == str(ids.configuration_version_id(WIDE_BEAM.to_dict()))
    assert event["data"]["simulation_id"] == str(ids.simulation_id("test"))


async def test_only_the_end_of_stderr_is_kept(tmp_path: Path) -> None:
    command = stub(tmp_path, "sys.stderr.write('x' * 1_000_000 + 'last words')")
    summary = await launch(1, simulation="test", environment={}, configurations=["one"], command=command)
    assert summary.finished[0].stderr.endswith("xlast words")
    assert len(summary.finished[0].stderr) == 4096


async def test_no_more_run_at_once_than_allowed_and_all_do(tmp_path: Path) -> None:
    """Each of four waits until it has seen the three others: fewer at once would never end, more would be seen."""
    (tmp_path / "running").mkdir()
    body = f"""
folder = Path({str(tmp_path / "running")!r})
(folder / str(puzzle)).touch()
group = {{str(puzzle // 4 * 4 + member) for member in range(4)}}
while not group <= set(os.listdir(folder)):
    time.sleep(0.01)
"""
    summary = await launch(
        4, simulation="test", environment={}, concurrency=4, configurations=["one"], command=stub(tmp_path, body)
    )
    assert summary.outcomes("one") == {"solved": 4}


async def test_cancelling_leaves_nothing_running(tmp_path: Path) -> None:
    fifo = tmp_path / "pids"
    os.mkfifo(fifo)
    body = f"""
with open({str(fifo)!r}, "w") as out:
    out.write(f"{{os.getpid()}}\\n")
time.sleep(600)
"""
    launching = asyncio.create_task(
        launch(2, simulation="test", environment={}, configurations=["one"], command=stub(tmp_path, body))
    )
    pids = [int(line) for line in await asyncio.to_thread(read_lines, fifo, 2)]
    assert all(map(is_running, pids))
    launching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await launching
    assert not any(map(is_running, pids))


def read_lines(fifo: Path, line_count: int) -> list[str]:
    """Reading waits for the stubs to start. Open for writing as well, so that it does not end between two of them."""
    with os.fdopen(os.open(fifo, os.O_RDWR), closefd=True) as stream:
        return [stream.readline() for _ in range(line_count)]


def test_a_crash_has_an_exit_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash(*arguments: object) -> None:
        raise ValueError("no content")

    monkeypatch.setenv("ARC_EVAL_TRANSPORT", "none")
    monkeypatch.setattr(sandbox, "run_agent", crash)
    assert sandbox.main(["--puzzle", "0", "--configuration", "wide-beam"]) == sandbox.EXIT_CRASHED
    assert "no content" in capsys.readouterr().err


def test_a_sandbox_takes_a_configuration_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ARC_EVAL_TRANSPORT", "none")
    file = tmp_path / "mine.json"
    solution = [step.name for step in make_puzzle(2, 7).hidden_program]
    file.write_text(json.dumps(WIDE_BEAM.to_dict() | {"name": "mine", "primitives": solution}))
    assert sandbox.main(["--puzzle", "2", "--configuration", str(file)]) in (sandbox.EXIT_SOLVED, sandbox.EXIT_UNSOLVED)
