"""Soak: `make soak MINUTES=10`. A steady load through SDK, Kafka, one worker and the database; fails on drift.

Exit code 1 where a figure drifts (`fault.drift` says what that is), the worker logs an error, or an event is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from arc_eval_db.consumers import measure_lag
from arc_eval_db.consumers.kafka import LogReader
from arc_eval_db.database import Session
from arc_eval_db.schemas.topics import TopicNames
from benchmarks.report import where, write_json
from fault.drift import Drift, Limits, Sample, judge, slope
from fault.load_figures import table
from fault.processes import ChildProcess
from fault.servers import measured_servers
from support.conditions import eventually
from support.databases import connect

GROUP = "soak"
SAMPLES_MIN = 40
INTERVAL_S_MAX = 5.0
END_TIMEOUT_S = 60.0

_ROWS = "(SELECT count(*) FROM outcomes) + (SELECT count(*) FROM tool_usage) + (SELECT count(*) FROM execution_events)"
_CONNECTIONS = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE backend_type = 'client backend' AND datname = current_database() AND pid <> pg_backend_pid()"
)


class Soak:
    """One run: what is watched, and what was seen."""

    def __init__(self, worker: ChildProcess, producer: ChildProcess, reader: LogReader, session: Session) -> None:
        self._worker = worker
        self._producer = producer
        self._reader = reader
        self._session = session
        self._began = time.monotonic()
        self.samples: list[Sample] = []

    async def watch(self, minutes: float) -> None:
        """Take samples for so long."""
        interval_s = min(INTERVAL_S_MAX, minutes * 60 / SAMPLES_MIN)
        until = self._began + minutes * 60
        due = self._began
        while (due := due + interval_s) <= until:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            for process in (self._worker, self._producer):
                if not process.runs:
                    raise RuntimeError(f"{process.name} ended with {process.code}: {process.last_words()}")
            self.samples.append(await self._sample())

    async def _sample(self) -> Sample:
        lag = await measure_lag(self._reader, self._session, GROUP, TopicNames().all)
        worker, producer = self._worker.usage(), self._producer.usage()
        return Sample(
            at_s=time.monotonic() - self._began,
            worker_rss_bytes=worker.rss_bytes,
            worker_descriptors=worker.descriptors,
            worker_threads=psutil.Process(self._worker.pid).num_threads(),
            worker_cpu_s=worker.cpu_s,
            reference_s=reference_s(),
            producer_rss_bytes=producer.rss_bytes,
            producer_descriptors=producer.descriptors,
            connections=await self._session.fetch_value(_CONNECTIONS),
            lag_messages=sum(partition.lag_messages for partition in lag),
            emitted=emitted(self._producer),
        )


def reference_s() -> float:
    """Processor time of a fixed computation, some milliseconds: objects, dictionaries, text."""
    began = time.thread_time()
    for _ in range(3):
        counts: dict[str, int] = {}
        for number in range(10_000):
            word = f"word-{number % 512}"
            counts[word] = counts.get(word, 0) + 1
    return time.thread_time() - began


def emitted(producer: ChildProcess) -> int:
    """What the producer has said last."""
    return int(producer.told[-1]["emitted"]) if producer.told else 0


def errors_in(log: Sequence[dict[str, Any]]) -> list[str]:
    """What a worker's log says at the levels error and critical."""
    return [f"{line.get('event')}" for line in log if line.get("level") in ("error", "critical")]


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """One run, from empty servers to the verdict."""
    async with measured_servers() as servers, await connect(servers.database) as session:
        settings = {**servers.environment, "ARC_EVAL_CONSUMER_GROUP": GROUP, "ARC_EVAL_CLOSE_TIMEOUT_S": "30"}
        worker = await ChildProcess.start("worker", servers.directory, "arc_eval_db.cli", "consume", settings=settings)
        producer = await ChildProcess.start(
            "producer", servers.directory, "fault.soak_producer", "--rate", f"{options.rate:g}", settings=settings
        )
        try:
            await eventually(lambda: emitted(producer) > 0, "the producer emits", timeout_s=END_TIMEOUT_S)
            async with LogReader(servers.kafka) as reader:
                soak = Soak(worker, producer, reader, session)
                await soak.watch(options.minutes)
            producer.term()
            await producer.ended(END_TIMEOUT_S)
            last_words = producer.told[-1]
            drained_in = time.monotonic()
            await servers.caught_up(GROUP, END_TIMEOUT_S)
            drained_in = time.monotonic() - drained_in
            worker.term()
            code = await worker.ended(END_TIMEOUT_S)
        finally:
            for process in (worker, producer):
                if process.runs:
                    await process.end()
        rows = await session.fetch_value(f"SELECT {_ROWS}")
        warm_up_s = options.warm_up_share * options.minutes * 60
        kept = [sample for sample in soak.samples if sample.at_s >= warm_up_s]
        drifts = judge(kept, Limits(rate=options.rate))
        drifts += [Drift("the worker's log", f"error: {event}") for event in sorted(set(errors_in(worker.log())))]
        if code != 0:
            drifts.append(Drift("the worker's end", f"exit code {code}"))
        if rows != last_words["emitted"] or last_words["dropped"]:
            drifts.append(Drift("events", f"{last_words['emitted']} emitted, {rows} in the database"))
        return {
            "where": await where(session),
            **vars(options),
            "events": rows,
            "drained_s": drained_in,
            "samples": [asdict(sample) for sample in soak.samples],
            "figures": figures(kept),
            "drifts": [asdict(drift) for drift in drifts],
        }


def figures(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """What was seen, for people: how each figure was at the beginning and the end."""
    third = len(samples) // 3
    rows = []
    for name, unit, values in (
        ("memory of the worker", "MiB", [each.worker_rss_bytes / 2**20 for each in samples]),
        ("memory of the producer", "MiB", [each.producer_rss_bytes / 2**20 for each in samples]),
        ("descriptors of the worker", "", [each.worker_descriptors for each in samples]),
        ("descriptors of the producer", "", [each.producer_descriptors for each in samples]),
        ("threads of the worker", "", [each.worker_threads for each in samples]),
        ("connections to the database", "", [each.connections for each in samples]),
        ("lag", "messages", [each.lag_messages for each in samples]),
    ):
        line = slope([each.at_s for each in samples], values)
        rows.append(
            {
                "figure": f"{name}, {unit}" if unit else name,
                "first third": float(statistics.median(values[:third])),
                "last third": float(statistics.median(values[-third:])),
                "most": float(max(values)),
                "per hour": line.per_s * 3600,
                "at least (99 %)": line.least_per_s * 3600,
            }
        )
    return rows


def show(report: dict[str, Any]) -> None:
    """The report for people."""
    print(
        f"\n{report['minutes']:g} minutes at {report['rate']:g} events a second: {report['events']:,} events stored\n"
    )
    print(table(report["figures"]))
    print()
    for drift in report["drifts"]:
        print(f"DRIFT: {drift['figure']}: {drift['seen']}")
    if not report["drifts"]:
        print("no drift")


def main() -> int:
    """Run, show, and judge."""
    parser = argparse.ArgumentParser(prog="fault.soak", description="A steady load that must change nothing.")
    parser.add_argument("--minutes", type=float, default=10, help="(default: %(default)s)")
    parser.add_argument("--rate", type=float, default=500, help="events a second (default: %(default)s)")
    parser.add_argument("--warm-up-share", type=float, default=1 / 3, help="not judged (default: a third)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report, with all samples, here")
    options = parser.parse_args()
    report = asyncio.run(run(options))
    show(report)
    write_json(options.json, report)
    return 1 if report["drifts"] else 0


if __name__ == "__main__":
    sys.exit(main())
