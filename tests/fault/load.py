"""Load with faults: `make load`. 1,000 concurrent executions, each with an emitter (and so a thread and a connection)
of its own; two workers, of which one is killed, and a database that is restarted and killed meanwhile.

Exit code 1 where any event is lost or there twice, or an execution is not complete.

The delay of an event is from its own time, stamped by `emit`, to the time that PostgreSQL recorded for the commit of
its row (`track_commit_timestamp`): both by the clock of this machine. The commit is recorded just before the server
waits for its disk; a reader sees the row a few milliseconds later than that.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

from arc_eval_db.database import Session
from benchmarks.report import where, write_json
from fault.ledger import read_ledgers
from fault.load_figures import FaultWindow, StoredEvent, delays, objections, table, timeline
from fault.processes import ChildProcess
from fault.resources import ResourceWatch
from fault.servers import MeasuredServers, measured_servers
from support.conditions import eventually
from support.databases import connect

GROUP = "load"
SIMULATION = "load"
WORKERS = 2

RESTART_AFTER_S = 1.0
"""A container's manager takes about so long to start a process again."""

START_TIMEOUT_S = 120.0
END_TIMEOUT_S = 300.0

# A thousand processes' worth of work on two cores: the usual two seconds are for a sandbox that has one to itself.
CLOSE_TIMEOUT_S = 30

# `execution()` and the connection of each are made in Python: on two cores some 60 a second.
EXECUTIONS_STARTED_PER_S = 40

_TABLES = ("outcomes", "tool_usage", "failures", "execution_events")


class KeptWorker:
    """A worker that is started again whenever it ends, until it is let go."""

    def __init__(self, name: str, servers: MeasuredServers, session_timeout_s: float) -> None:
        self.name = name
        self.starts = 0
        self._servers = servers
        self._settings = {
            **servers.environment,
            "ARC_EVAL_CONSUMER_GROUP": GROUP,
            "ARC_EVAL_CONSUMER_SESSION_TIMEOUT_S": f"{session_timeout_s:g}",
        }
        self._process: ChildProcess | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process of the moment."""
        return self._process.pid if self._process and self._process.runs else None

    def kill9(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill9()

    def assignments(self) -> int:
        """How often it has been given partitions, all its processes together."""
        return 0 if self._process is None else len(self._process.log("partitions_positioned"))

    async def __aenter__(self) -> KeptWorker:
        self._keeping = asyncio.create_task(self._keep())
        await eventually(lambda: self.assignments() > 0, f"{self.name} has partitions", timeout_s=START_TIMEOUT_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._keeping is not None
        self._keeping.cancel()
        await asyncio.wait({self._keeping})
        if self._process is not None and self._process.runs:
            self._process.term()
            try:
                await self._process.ended(timeout_s=20)
            except TimeoutError:
                await self._process.end()

    async def _keep(self) -> None:
        while True:
            self._process = await ChildProcess.start(
                self.name, self._servers.directory, "arc_eval_db.cli", "consume", settings=self._settings
            )
            self.starts += 1
            await self._process.ended(timeout_s=3600)
            await asyncio.sleep(RESTART_AFTER_S)


@contextlib.asynccontextmanager
async def sandboxes(servers: MeasuredServers, options: argparse.Namespace, ramp_s: float) -> AsyncIterator[list[Any]]:
    """Processes with all the executions in them; what is left of them at the end is killed."""
    settings = {**servers.environment, "ARC_EVAL_CLOSE_TIMEOUT_S": str(CLOSE_TIMEOUT_S)}
    share, rest = divmod(options.executions, options.processes)
    running = []
    first = 0
    for number in range(options.processes):
        count = share + (number < rest)
        arguments = {
            "first": first,
            "executions": count,
            "seconds": options.seconds,
            "ramp": ramp_s,
            "seed": options.seed,
            "simulation": SIMULATION,
            "ledger": servers.directory / f"ledger-{number}",
        }
        flat = [str(part) for name, value in arguments.items() for part in (f"--{name}", value)]
        name = f"sandboxes-{number}"
        running.append(
            await ChildProcess.start(name, servers.directory, "fault.load_sandboxes", *flat, settings=settings)
        )
        first += count
    try:
        yield running
    finally:
        for process in running:
            if process.runs:
                await process.end()


async def do_harm(
    servers: MeasuredServers, workers: Sequence[KeptWorker], seconds: float, seed: int
) -> list[FaultWindow]:
    """SIGKILL of a worker, a restart of the database, SIGKILL of the database; spread over the time."""
    chance = random.Random(f"{seed}/faults")
    started = time.monotonic()
    done = []

    async def until(quarter: int) -> None:
        due = started + seconds / 4 * chance.uniform(quarter - 0.2, quarter + 0.2)
        await asyncio.sleep(max(0.0, due - time.monotonic()))

    await until(1)
    victim = chance.choice(list(workers))
    began, before = time.time(), victim.assignments()
    victim.kill9()
    await eventually(
        lambda: victim.assignments() > before, f"{victim.name} has partitions again", timeout_s=START_TIMEOUT_S
    )
    done.append(FaultWindow("worker killed", began, time.time()))

    await until(2)
    began = time.time()
    await servers.database_server.restart()
    done.append(FaultWindow("database restarted", began, time.time()))

    await until(3)
    began = time.time()
    servers.database_server.kill9()
    await servers.database_server.start()
    done.append(FaultWindow("database killed", began, time.time()))
    return done


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """One run, from empty servers to the verdict."""
    ramp_s = options.executions / EXECUTIONS_STARTED_PER_S
    if options.seconds <= ramp_s:
        sys.exit(f"--seconds must be above {ramp_s:g}, or the first end before the last begin")
    async with measured_servers({"track_commit_timestamp": "on"}) as servers, contextlib.AsyncExitStack() as stack:
        names = [f"worker-{number}" for number in range(WORKERS)]
        kept = [KeptWorker(name, servers, options.session_timeout) for name in names]
        workers = [await stack.enter_async_context(worker) for worker in kept]
        watch = await stack.enter_async_context(ResourceWatch(servers))
        watch.follow("workers", lambda: [worker.pid for worker in workers])
        began, busy_before = time.time(), os.getloadavg()[0]
        processes = await stack.enter_async_context(sandboxes(servers, options, ramp_s))
        watch.follow("sandboxes", lambda: [process.pid if process.runs else None for process in processes])
        all_started = [await _told(process, "all_started", START_TIMEOUT_S) for process in processes]
        windows = [FaultWindow("executions start", began, time.time())]
        windows += await do_harm(servers, workers, options.seconds - ramp_s, options.seed)
        ended = [await _told(process, "ended", options.seconds + END_TIMEOUT_S) for process in processes]
        await servers.caught_up(GROUP, END_TIMEOUT_S)
        ended_at = time.time()
        async with await connect(servers.database) as session:
            rows, found = await _look(session, servers, ended)
            report = {"where": await where(session), **vars(options), "events": len(rows), **found}
    report["seconds_in_all"] = ended_at - began
    # What else the machine had to do, without which no delay means anything.
    report["load_average_before"] = busy_before
    measured = delays(rows, windows)
    if idle := sum(each.events == 0 for each in measured):
        # A fault that hit nothing has shown nothing.
        report["objections"]["phases without events"] = idle
    report["delays_s"] = [asdict(each) for each in measured]
    report["timeline_s"] = [asdict(each) for each in timeline(rows)]
    report["windows"] = [asdict(window) for window in windows]
    report["sender_threads"] = sum(line["senders"] for line in all_started)
    report["resources"] = watch.figures()
    report["worker_starts"] = sum(worker.starts for worker in workers)
    return report


async def _told(process: ChildProcess, event: str, timeout_s: float) -> dict[str, Any]:
    def said() -> list[dict[str, Any]]:
        return [line for line in process.told if line["event"] == event]

    await eventually(lambda: bool(said()) or not process.runs, f"{process.name} says {event}", timeout_s=timeout_s)
    if not said():
        # Its last line may still be on its way.
        await process.ended()
    assert said(), f"{process.name} ended with {process.code}: {process.last_words()}"
    return said()[0]


async def _look(
    session: Session, servers: MeasuredServers, ended: Sequence[dict[str, Any]]
) -> tuple[list[StoredEvent], dict[str, Any]]:
    """All rows, and what is wrong with them."""
    query = " UNION ALL ".join(
        "SELECT event_id, execution_id, extract(epoch FROM time)::float8 AS emitted_at, "
        f"extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 AS visible_at FROM {table}"
        for table in _TABLES
    )
    rows = [StoredEvent(**row) for row in await session.fetch(query)]
    complete = await session.fetch("SELECT execution_id FROM execution_completeness WHERE is_complete")
    ledger = read_ledgers(servers.directory.glob("ledger-*"))
    emitted = {UUID(key): count for line in ended for key, count in line["emitted"].items()}
    return rows, {
        "complete": len(complete),
        "unacknowledged": sum(entry.outcome != "acked" for entry in ledger.values()),
        "objections": objections(
            rows,
            emitted=emitted,
            acknowledged=[key for key, entry in ledger.items() if entry.outcome == "acked"],
            complete={row["execution_id"] for row in complete},
            dead_letters=await session.fetch_value("SELECT count(*) FROM dead_letters"),
            dropped=sum(line["dropped"] for line in ended),
        ),
    }


def show(report: dict[str, Any]) -> None:
    """The report for people."""
    print(
        f"\n{report['executions']:,} executions ({report['complete']:,} complete), {report['events']:,} events, "
        f"{report['sender_threads']:,} sender threads at once, in {report['seconds_in_all']:.0f} s; "
        f"sessions of {report['session_timeout']:g} s, seed {report['seed']}; "
        f"load average before: {report['load_average_before']:.1f}\n"
    )
    print(
        table(
            {"emit to visible, s": each["name"], **{key: each[key] for key in ("events", "p50", "p99", "most")}}
            for each in report["delays_s"]
        )
    )
    print()
    print(table(report["resources"]))
    print()
    if report["objections"]:
        print("; ".join(f"{name}: {count}" for name, count in report["objections"].items()))
    else:
        print("0 lost, 0 twice")


def main() -> int:
    """Run, show, and judge."""
    parser = argparse.ArgumentParser(prog="fault.load", description="Many executions at once, with faults.")
    parser.add_argument("--executions", type=int, default=1000, help="at the same time (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=90, help="how long one takes (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=8, help="that they share (default: %(default)s)")
    parser.add_argument("--session-timeout", type=float, default=10, help="of the workers, s (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report here")
    options = parser.parse_args()
    report = asyncio.run(run(options))
    show(report)
    write_json(options.json, report)
    return 1 if report["objections"] or report["complete"] != options.executions else 0


if __name__ == "__main__":
    sys.exit(main())
