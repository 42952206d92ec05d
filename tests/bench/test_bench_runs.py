"""The command and its measured processes, on real servers, with sizes that say nothing about speed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from arc_eval_db.bench.arena import open_arena
from arc_eval_db.bench.checks import WrongRowsError
from arc_eval_db.bench.code_under_test import Code
from arc_eval_db.bench.compare import UnknownRevisionError, pairs, take_out
from arc_eval_db.bench.results import Result
from arc_eval_db.bench.running import run_rounds
from arc_eval_db.bench.sections import Sizes, latency, peers, views
from arc_eval_db.bench.sections.throughput import sink_candidate, workload
from arc_eval_db.bench.servers import Servers as BenchServers
from arc_eval_db.bench.spawn import RunFailedError, run_measured
from arc_eval_db.bench.workloads import DUPLICATES, LIFECYCLE, OUTCOMES
from arc_eval_db.consumers.kafka import TopicsAdmin
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.settings import KafkaSettings
from support.conditions import eventually
from support.databases import connect
from support.servers import Servers

TINY = Sizes(events=400, partitions=2, calls=500, produced=400, rate=200, latency_s=1.5, plain_events=50, imports=1)

pytestmark = pytest.mark.kafka


@pytest.fixture
def given(servers: Servers, database_server: DatabaseSettings) -> BenchServers:
    """The session's servers."""
    environment = {
        "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": servers.kafka_bootstrap_servers,
        "ARC_EVAL_DATABASE_URL": database_server.database_url.get_secret_value(),
    }
    return BenchServers(KafkaSettings.from_environment(environment), database_server, environment, False)


def ignore(_: str) -> None:
    pass


def bench(given: BenchServers, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    sizes = ("--events", "400", "--partitions", "2")
    return subprocess.run(
        [sys.executable, "-m", "arc_eval_db.cli", "bench", "--quick", "--given-servers", *sizes, *arguments],
        env={**os.environ, **given.environment, **environment},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


async def leftovers(given: BenchServers) -> tuple[list[str], list[str]]:
    """Databases and topics that a benchmark has left."""
    async with await connect(given.database) as session:
        rows = await session.fetch("SELECT datname FROM pg_database WHERE datname LIKE 'bench%'")
    async with TopicsAdmin(given.kafka) as admin:
        names = await admin._client.list_topics()
    return [row["datname"] for row in rows], [name for name in names if name.startswith("bench-")]


async def test_the_command_measures_checks_and_leaves_nothing(given: BenchServers, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    before = await leftovers(given)
    ended = bench(given, "sink", "emit", "produce", "--only", "outcomes", "--json", str(file))
    assert ended.returncode == 0, ended.stderr
    assert "Topic to table" in ended.stdout
    report = orjson.loads(file.read_bytes())
    names = {(each["section"], each["name"]) for each in report["results"]}
    assert ("sink", "outcomes, 2 processes") in names
    assert ("validate", "outcomes, collector off") in names
    for each in report["results"]:
        assert len(each["runs"]) == 1
        assert each["summary"]["per_second"]["median"] > 0
        assert each["summary"]["memory_mb"]["median"] > 10
    assert await leftovers(given) == before


async def test_ctrl_c_leaves_nothing(given: BenchServers) -> None:
    before = await leftovers(given)
    command = [sys.executable, "-m", "arc_eval_db.cli", "bench", "sink", "--quick", "--given-servers"]
    process = subprocess.Popen(
        command, env={**os.environ, **given.environment}, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        of_it: list[psutil.Process] = []

        def is_measuring() -> bool:
            of_it[:] = psutil.Process(process.pid).children(recursive=True)
            return any("arc_eval_db.bench.runs.fetch" in child.cmdline() for child in of_it)

        await eventually(is_measuring, "a measured process runs", timeout_s=90)
        process.send_signal(signal.SIGINT)
        output, errors = await asyncio.to_thread(process.communicate, timeout=60)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, output, errors.strip()) == (130, "", "interrupted")
    await eventually(lambda: not any(child.is_running() for child in of_it), "its processes are gone")
    assert await leftovers(given) == before


def test_a_replay_is_compared_with_live_consumption(given: BenchServers) -> None:
    ended = bench(given, "replay")
    assert ended.returncode == 0, ended.stderr
    assert "Replay into an empty database" in ended.stdout
    assert "times as fast" in ended.stdout


def test_partitions_that_two_cannot_share_are_refused(given: BenchServers) -> None:
    ended = bench(given, "emit", "--partitions", "3")
    assert ended.returncode == 2
    assert "even" in ended.stderr


async def test_a_run_that_leaves_wrong_rows_has_no_figure(given: BenchServers) -> None:
    work = workload(OUTCOMES, TINY)
    before = await leftovers(given)
    async with open_arena(given, ignore) as arena:
        candidate = sink_candidate(arena, work, 1)
        sums = await arena.sums(work, await arena.database())
        sums["outcomes"] = sums["outcomes"]._replace(rows=401)
        with pytest.raises(WrongRowsError, match="outcomes"):
            await candidate.run()
    assert await leftovers(given) == before


@pytest.mark.parametrize("name", [LIFECYCLE, DUPLICATES])
async def test_the_worker_is_measured_with_every_workload(given: BenchServers, name: str) -> None:
    async with open_arena(given, ignore) as arena:
        (result,) = await run_rounds([sink_candidate(arena, workload(name, TINY), 1)], 1, ignore)
    assert result.values("per_second")


async def test_latency_and_views_are_measured(given: BenchServers) -> None:
    async with open_arena(given, ignore) as arena:
        candidates = [*latency.latency(arena, TINY)[:1], *views.views(arena, TINY)]
        first, *others = await run_rounds(candidates, 1, ignore)
    figures = first.runs[0]
    assert 0 < (figures["p50_ms"] or 0) <= (figures["p99_ms"] or 0) <= (figures["worst_ms"] or 0)
    assert [other.name for other in others] == list(views.VIEWS)
    assert all(other.values("milliseconds") for other in others)


async def test_peers_write_the_same_rows(given: BenchServers) -> None:
    async with open_arena(given, ignore) as arena:
        candidates = peers.peers(arena, TINY)
        names = {candidate.name for candidate in candidates}
        assert {"plain loop", "arc-eval-db, 1 process"} <= names
        plain = [candidate for candidate in candidates if candidate.name == "plain loop"]
        (result,) = await run_rounds(plain, 1, ignore)
        assert result.guarantee
        for module, name in (("faststream", "FastStream"), ("quix", "Quix Streams")):
            is_there = any(other.startswith(name) for other in names)
            assert is_there != any(note.startswith(module) for note in arena.notes)
        others = [each for each in candidates if each.name.startswith(("FastStream", "Quix"))]
        if not others:
            pytest.skip("; ".join(arena.notes))
        assert all(each.values("per_second") for each in await run_rounds(others, 1, ignore))


async def test_a_run_that_hangs_or_fails_is_told_and_gone(tmp_path: Path) -> None:
    child = "[sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[1]]"
    (tmp_path / "hangs.py").write_text(f"import subprocess, sys\nsubprocess.Popen({child}).wait()")
    (tmp_path / "fails.py").write_text("raise SystemExit('no such luck')")
    environment: Mapping[str, str] = {"PYTHONPATH": str(tmp_path)}
    options: list[dict[str, Any]] = [{"which": str(tmp_path)}]
    with pytest.raises(RunFailedError, match="did not end"):
        await run_measured("hangs", options, environment, timeout_s=5)
    with pytest.raises(RunFailedError, match="no such luck"):
        await run_measured("fails", options, environment, timeout_s=30)

    def is_gone() -> bool:
        lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        return str(tmp_path) not in lines

    await eventually(is_gone, "nothing is left")


async def test_revisions_are_compared_with_code_of_their_own(given: BenchServers, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    portion = repository / "schemas" / "arc_eval_db"
    portion.mkdir(parents=True)
    (portion / "revision.py").write_text("NAME = 'old'")
    git = ("git", "-C", str(repository), "-c", "user.name=x", "-c", "user.email=x@example.org")
    for command in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "-m", "old")):
        subprocess.run([*git, *command], check=True, capture_output=True)
    (portion / "revision.py").write_text("NAME = 'new'")
    for revision, name in (("HEAD", "old"), (".", "new")):
        path = take_out(revision, repository, tmp_path / name)
        script = "import arc_eval_db.revision as r; import arc_eval_db.bench.compare; print(r.NAME)"
        told = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.strip() == name
    with pytest.raises(UnknownRevisionError):
        take_out("nothing", repository, tmp_path / "nothing")


async def test_each_revision_runs_on_a_database_of_its_own(given: BenchServers) -> None:
    async with open_arena(given, ignore) as arena:
        work = workload(OUTCOMES, TINY)
        codes = [Code({"PYTHONPATH": os.environ.get("PYTHONPATH", "")}, f"revision_{letter}") for letter in "ab"]
        results = await run_rounds([sink_candidate(arena, work, 1, code=code) for code in codes], 1, ignore)
        assert set(arena._databases) == {"revision_a", "revision_b"}
    ((name, figure, shown),) = pairs(results)
    assert (name, figure) == ("sink: outcomes, 1 process", "per_second")
    assert float(shown.partition(" ")[0]) > 0


def test_less_time_is_better_when_revisions_are_compared() -> None:
    first = Result("emit", "x", runs=[{"cpu_us": 20.0}])
    second = Result("emit", "x", runs=[{"cpu_us": 10.0}])
    assert pairs([first, second]) == [("emit: x", "cpu_us", "2.000 (2.000 to 2.000)")]
