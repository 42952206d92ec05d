"""Does a replay stay out of the way of the living? `make bench-yielding`.

    PYTHONPATH=tests python -m benchmarks.yielding --events 1000000 --rate 400 --yield-to-lag 2

One worker consumes what a sandbox emits at a steady rate, on servers of the benchmark's own, while
`arc-eval-db replay … --to database --yield-to-lag` restores so many events of before. Four times a second it is
measured how far the worker is behind. Exit code 1 where it was further behind than the limit, or a row is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from arc_eval_db.bench import wire
from arc_eval_db.bench.kafka import fill
from arc_eval_db.bench.workloads import LIFECYCLE, Workload
from arc_eval_db.consumers import measure_lag
from arc_eval_db.consumers.kafka import LogReader
from arc_eval_db.consumers.lag import oldest_unread_s
from arc_eval_db.database import Session
from arc_eval_db.schemas.topics import TopicNames
from benchmarks.report import print_rows, where, write_json
from fault.processes import ChildProcess
from fault.servers import PARTITIONS, MeasuredServers, measured_servers
from support.conditions import eventually
from support.databases import connect
from support.tables import EVENT_TABLES

GROUP = "yielding"
LOOK_INTERVAL_S = 0.25
QUIET_S = 10.0
REPLAY_TIMEOUT_S = 1_800.0
TOPICS = TopicNames().all
_COUNT = "SELECT " + " + ".join(f"(SELECT count(*) FROM {table} WHERE time < $1)" for table in EVENT_TABLES)


@dataclass(frozen=True, slots=True)
class Lags:
    """How far the worker was behind, in seconds, at so many looks."""

    looks: int
    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Lags:
        """Of at least one sample."""
        ordered = sorted(samples)
        return cls(len(ordered), statistics.median(ordered), ordered[int(len(ordered) * 0.99)], ordered[-1])


async def look(servers: MeasuredServers, until: asyncio.Event) -> Lags:
    """The worker's lag, again and again."""
    samples = []
    async with LogReader(servers.kafka) as reader, await connect(servers.database) as session:
        while not until.is_set():
            samples.append(await oldest_unread_s(reader, await measure_lag(reader, session, GROUP, TOPICS)))
            await asyncio.sleep(LOOK_INTERVAL_S)
    return Lags.of(samples)


def _settings(servers: MeasuredServers) -> dict[str, str]:
    return {**servers.environment, "ARC_EVAL_CONSUMER_GROUP": GROUP}


async def fill_before(servers: MeasuredServers, session: Session, events: int, before: datetime) -> None:
    """Events of before, consumed by the group; then their rows are lost."""
    begin = before - timedelta(days=1)
    await fill(servers.kafka, wire.records(Workload(LIFECYCLE, events, PARTITIONS, 1, begin.isoformat())))
    arguments = ("consume", "--until-caught-up")
    worker = await ChildProcess.start(
        "filling", servers.directory, "arc_eval_db.cli", *arguments, settings=_settings(servers)
    )
    if code := await worker.ended(REPLAY_TIMEOUT_S):
        raise RuntimeError(f"the worker ended with {code}: {worker.last_words()}")
    await session.execute(f"TRUNCATE {', '.join(EVENT_TABLES)}")


async def measure(servers: MeasuredServers, options: argparse.Namespace) -> dict[str, Any]:
    """The whole run."""
    before = datetime.now(UTC)
    async with await connect(servers.database) as session:
        await fill_before(servers, session, options.events, before)
        settings = _settings(servers)
        worker = await ChildProcess.start("worker", servers.directory, "arc_eval_db.cli", "consume", settings=settings)
        rate = ("--rate", f"{options.rate:g}")
        producer = await ChildProcess.start(
            "producer", servers.directory, "fault.soak_producer", *rate, settings=settings
        )
        try:
            await eventually(lambda: _is_consumed(session, before), "the worker is at work", timeout_s=60)
            alone = await _looked_at(servers, asyncio.sleep(QUIET_S))
            began = time.monotonic()
            replaying = _replay(servers, options)
            beside = await _looked_at(servers, replaying)
            seconds = time.monotonic() - began
        finally:
            await producer.end()
            await worker.end()
        return {
            **await where(session),
            "replay": beside[1],
            "replay_s": seconds,
            "rows": await session.fetch_value(_COUNT, before),
            "lag_alone_s": alone[0],
            "lag_beside_s": beside[0],
        }


async def _is_consumed(session: Session, since: datetime) -> bool:
    return bool(await session.fetch_value("SELECT count(*) FROM tool_usage WHERE time >= $1", since))


async def _looked_at(servers: MeasuredServers, work: Any) -> tuple[Lags, Any]:
    ended = asyncio.Event()
    looking = asyncio.create_task(look(servers, ended))
    try:
        result = await work
    finally:
        ended.set()
    return await looking, result


async def _replay(servers: MeasuredServers, options: argparse.Namespace) -> dict[str, Any]:
    arguments = ("-r", ":end", "--to", "database", "--group", GROUP, "--json")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "arc_eval_db.cli", "replay", *TOPICS, *arguments),
        *("--yield-to-lag", f"{options.yield_to_lag:g}"),
        env=dict(servers.environment),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), REPLAY_TIMEOUT_S)
    if process.returncode:
        raise RuntimeError(f"the replay ended with {process.returncode}")
    report: dict[str, Any] = orjson.loads(out)
    return report


def main() -> int:
    """Measure, and say whether the limit was kept."""
    parser = argparse.ArgumentParser(prog="benchmarks.yielding", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="to be replayed")
    parser.add_argument("--rate", type=float, default=400, help="events a second that are emitted meanwhile")
    parser.add_argument("--yield-to-lag", type=float, default=2.0, help="the limit, in seconds")
    parser.add_argument("--json", type=Path, help="write the report here")
    options = parser.parse_args()

    async def run() -> dict[str, Any]:
        async with measured_servers() as servers:
            return await measure(servers, options)

    report = asyncio.run(run())
    replay = report["replay"]
    rate = replay["records"] / report["replay_s"]
    print(f"{replay['records']:,} records replayed in {report['replay_s']:.1f} s, {rate:,.0f} a second,")
    print(
        f"of them {replay['waited_s']} s waiting; {replay['inserted']:,} inserted, {report['rows']:,} rows of before\n"
    )
    rows = [(name, lags.looks, lags.p50, lags.p99, lags.most) for name, lags in _lags(report).items()]
    print_rows(("live lag", "looks", "p50 s", "p99 s", "most s"), rows)
    write_json(options.json, report)
    beside: Lags = report["lag_beside_s"]
    is_kept = beside.most <= options.yield_to_lag and report["rows"] == options.events
    print(f"\nthe limit of {options.yield_to_lag:g} s was {'kept' if is_kept else 'NOT kept, or rows are missing'}")
    return 0 if is_kept else 1


def _lags(report: dict[str, Any]) -> dict[str, Lags]:
    return {"before": report["lag_alone_s"], "beside the replay": report["lag_beside_s"]}


if __name__ == "__main__":
    sys.exit(main())
